import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { takeLock } from '../../../scripts/local/postgres/folder-lock.ts'

describe('the lock of a folder', () => {
  let folder = ''
  const file = () => join(folder, 'data.lock')
  const module = JSON.stringify(join(import.meta.dirname, '../../../scripts/local/postgres/folder-lock.ts'))

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'folder-lock-'))
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  it('is held once, and again after its release', async () => {
    const first = await takeLock(file(), '/data')
    await expect(takeLock(file(), '/data')).rejects.toThrow(`pid ${process.pid}`)
    await first.release()
    const second = await takeLock(file(), '/data')
    await first.release()
    await expect(takeLock(file(), '/data')).rejects.toThrow('in use')
    await second.release()
    expect(await readdir(folder)).toEqual([])
  })

  it('goes to exactly one of many that ask at the same time, even over a stale one', async () => {
    await writeFile(file(), JSON.stringify({ pid: process.pid, startedAt: 'another boot:1', token: 'old' }))
    const asked = await Promise.allSettled(Array.from({ length: 10 }, () => takeLock(file(), '/data')))
    expect(asked.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(await readdir(folder)).toEqual(['data.lock'])
  })

  it('names another living process and survives its death by force', async () => {
    const program = `
      import { takeLock } from ${module}
      await takeLock(${JSON.stringify(file())}, '/data')
      console.log('held')
      setInterval(() => undefined, 1000)`
    const holder = spawn(process.execPath, ['--input-type=module', '--eval', program])
    const exited = once(holder, 'exit')
    await once(holder.stdout, 'data')
    await expect(takeLock(file(), '/data')).rejects.toThrow(`another process (pid ${holder.pid})`)
    holder.kill('SIGKILL')
    await exited
    const lock = await takeLock(file(), '/data')
    expect(JSON.parse(await readFile(file(), 'utf8'))).toMatchObject({ pid: process.pid })
    await lock.release()
  })

  it('replaces a torn file', async () => {
    await writeFile(file(), '{"pid":')
    await (await takeLock(file(), '/data')).release()
    expect(await readdir(folder)).toEqual([])
  })
})
