import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { says } from './ask.ts'

describe('a vendor that runs as a process of its own', () => {
  it('prints its address, tells the truth over HTTP and ends on SIGTERM', async () => {
    const child = spawn(process.execPath, [
      '--disable-warning=ExperimentalWarning',
      join(import.meta.dirname, 'run.ts'),
      '--port',
      '0',
    ])
    try {
      const [line] = await once(child.stdout, 'data')
      const { url } = JSON.parse(String(line))
      const root = url.replace('/v1', '')
      const headers = { authorization: 'Bearer sk-fake-1' }
      const ask = () =>
        fetch(`${url}/chat/completions`, {
          method: 'POST',
          headers,
          body: JSON.stringify({ model: 'g', messages: says('a') }),
        })
      await (await ask()).text()
      const before = await (await fetch(`${root}/__truth`)).json()
      expect(before).toMatchObject({
        requests: 1,
        aborted: 0,
        totals: { calls: 1, completion: 16 },
        rows: [{ pieces: 16 }],
      })
      await fetch(`${root}/__always?directives=status=503`, { method: 'POST' })
      expect((await ask()).status).toBe(503)
      await fetch(`${root}/__always?per_second=1&directives=status=503&directives=status=500`, { method: 'POST' })
      expect((await ask()).status).toBe(200)
      expect([500, 503]).toContain((await ask()).status)
      await fetch(`${root}/__reset`, { method: 'POST' })
      expect(await (await fetch(`${root}/__truth?totals`)).json()).toEqual({
        requests: 0,
        aborted: 0,
        most: 0,
        totals: { prompt: 0, completion: 0, calls: 0 },
      })
    } finally {
      child.kill('SIGTERM')
    }
    expect(await once(child, 'exit')).toEqual([0, null])
  })
})
