import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { askerOf, eventsIn, readToEnd, says } from './ask.ts'
import { directivesIn, parseScript } from './script.ts'
import { startFakeVendor } from './server.ts'

const vendor = await startFakeVendor()
const { chat, stream } = askerOf(vendor)
beforeEach(() => vendor.reset())
afterAll(() => vendor.close())

const row = () => vendor.truth()[0]

describe('a fault before the answer', () => {
  it.each([400, 401, 403, 404, 408, 409, 413, 418, 422, 429, 500, 503, 529])(
    'is status %i in OpenAI’s shape',
    async (status) => {
      const response = await stream(`Hello fault:status=${status}`)
      expect(response.status).toBe(status)
      expect(await response.json()).toMatchObject({ error: { message: expect.any(String), type: expect.any(String) } })
      expect(row()).toMatchObject({ status, prompt: 0, completion: 0, fault: `status=${status}` })
    },
  )

  it('is a proxy’s page for 502 and a wait for 429', async () => {
    expect((await chat('fault:status=502')).headers.get('content-type')).toBe('text/html')
    expect((await chat('fault:status=429,retry-after=7')).headers.get('retry-after')).toBe('7')
  })

  it('is an HTML page, or nothing, with status 200', async () => {
    expect(await (await stream('fault:html200')).text()).toMatch(/^<!DOCTYPE html>/)
    expect(await (await stream('fault:empty200')).text()).toBe('')
    expect(vendor.totals().calls).toBe(0)
  })

  it('is a connection that breaks', async () => {
    await expect(chat('fault:reset')).rejects.toThrow()
    expect(row()).toMatchObject({ status: 0, completion: 0, clientLeft: false })
  })

  it('is silence until the client leaves', async () => {
    const controller = new AbortController()
    const asking = chat('fault:hang', {}, { signal: controller.signal })
    await vi.waitFor(() => expect(vendor.requests()).toBe(1))
    controller.abort()
    await expect(asking).rejects.toThrow()
    await vi.waitFor(() => expect(vendor.aborted()).toBe(1))
    expect(row()).toMatchObject({ status: 0, prompt: 0, clientLeft: true })
  })

  it('is a delay', async () => {
    const startedMs = performance.now()
    await (await chat('fault:delay=60')).text()
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(59)
  })

  it('ends after so many times', async () => {
    const statuses = []
    for (let count = 0; count < 4; count += 1) statuses.push((await chat('fault:status=500,times=2')).status)
    expect(statuses).toEqual([500, 500, 200, 200])
  })

  it('can stand for every request, or be in the name of a model', async () => {
    vendor.always('status=503')
    expect([(await chat('a')).status, (await chat('fault:status=429')).status]).toEqual([503, 429])
    vendor.always(undefined)
    expect([(await chat('a')).status, (await chat('a', { model: 'gpt-4o-fault:status=418' })).status]).toEqual([
      200, 418,
    ])
  })
})

describe('a fault inside a stream', () => {
  const deltas = (text: string) =>
    eventsIn(text.replaceAll('\r', '')).filter((event) => event.includes('"content":"') && !event.includes('"role"'))
      .length

  it.each([0, 1, 5])('cuts the connection after %i pieces', async (count) => {
    const { text, broke } = await readToEnd(await stream(`fault:cut=${count}`))
    expect([broke, deltas(text), text.includes('[DONE]')]).toEqual([true, count, false])
    expect(row()).toMatchObject({ completion: count, pieces: count, clientLeft: false, finished: false })
  })

  it('ends cleanly but too soon', async () => {
    const { text, broke } = await readToEnd(await stream('fault:eof=3'))
    expect([broke, deltas(text), text.includes('finish_reason":"stop')]).toEqual([false, 3, false])
    expect(row()).toMatchObject({ completion: 3, finished: false })
  })

  it('breaks its JSON', async () => {
    const { text } = await readToEnd(await stream('fault:malformed=2'))
    expect(() => JSON.parse(eventsIn(text).at(-1)?.slice(6) ?? '')).toThrow()
    expect(row()?.completion).toBe(2)
  })

  it('reports an error', async () => {
    const { text } = await readToEnd(await stream('fault:errorevent=2'))
    expect(JSON.parse(eventsIn(text).at(-1)?.slice(6) ?? '')).toMatchObject({ error: { type: 'server_error' } })
    expect(row()?.completion).toBe(2)
  })

  it.each([1, 100, 1000])('cuts the connection after %i bytes', async (count) => {
    const { text, broke } = await readToEnd(await stream(`fault:cutbytes=${count}`))
    expect([broke, text.length]).toEqual([true, count])
  })

  it('falls silent until the client leaves, and knows after how many pieces', async () => {
    const response = await stream('fault:hang-after=3')
    const reader = response.body?.getReader()
    let text = ''
    while (deltas(text) < 3) text += new TextDecoder().decode((await reader?.read())?.value)
    await reader?.cancel()
    await vi.waitFor(() => expect(vendor.aborted()).toBe(1))
    expect(row()).toMatchObject({ completion: 3, clientLeft: true, finished: false })
    expect(text).toContain(JSON.stringify(row()?.text.split(' ').at(-1)).slice(1, -1))
  })

  it('bills a long answer only as far as the client read', async () => {
    const response = await stream('fault:pieces=20000,slow=1')
    const reader = response.body?.getReader()
    await reader?.read()
    await reader?.cancel()
    await vi.waitFor(() => expect(vendor.aborted()).toBe(1))
    expect(row()?.completion).toBeLessThan(20_000)
    expect(row()?.completion).toBe(row()?.pieces)
  })

  it('writes as many pieces as it is told', async () => {
    const { text } = await readToEnd(await stream('fault:pieces=200'))
    expect([deltas(text), row()?.completion]).toEqual([200, 200])
  })

  it('paces its pieces', async () => {
    const startedMs = performance.now()
    await readToEnd(await stream('fault:pieces=5,slow=15'))
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(70)
  })

  it('speaks in CRLF, comments and single bytes and says the same', async () => {
    const { text } = await readToEnd(
      await stream('fault:crlf,comments,bytesplit,pieces=4', { stream_options: { include_usage: true } }),
    )
    expect(text).not.toMatch(/[^\r]\n/)
    expect(text.match(/^: keep-alive\r$/gm)).toHaveLength(1 + 4 + 1)
    expect([deltas(text), row()?.completion, row()?.usageReported]).toEqual([4, 4, true])
  })

  it('keeps silent about usage, claims another, or names another model', async () => {
    const usage = { stream_options: { include_usage: true } }
    expect((await readToEnd(await stream('fault:nousage', usage))).text).not.toContain('usage')
    expect(await (await chat('fault:nousage')).json()).not.toHaveProperty('usage')
    expect((await readToEnd(await stream('fault:usage=10/20', usage))).text).toContain('"total_tokens":30')
    expect(await (await chat('fault:wrongmodel')).json()).toMatchObject({ model: 'gpt-3.5-turbo-0125' })
    expect(vendor.truth().map(({ prompt, completion, usageReported }) => [prompt, completion, usageReported])).toEqual([
      [expect.any(Number), 16, false],
      [expect.any(Number), 16, false],
      [10, 20, true],
      [expect.any(Number), 16, true],
    ])
  })

  it('replays recorded bytes', async () => {
    const folder = join(import.meta.dirname, '../fixtures/streams')
    const name = `fake-vendor-${process.pid}.txt`
    const bytes = 'data: {"usage":{"prompt_tokens":4,"completion_tokens":2}}\n\ndata: [DONE]\n\n'
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, name), bytes)
    try {
      expect((await readToEnd(await stream(`fault:replay=${name}`))).text).toBe(bytes)
      expect(row()).toMatchObject({ prompt: 4, completion: 2, usageReported: true, finished: true })
    } finally {
      await rm(join(folder, name))
    }
  })
})

describe('a fault inside a whole answer', () => {
  it.each([
    ['cut=4', true],
    ['cutbytes=50', true],
    ['eof=4', false],
    ['malformed=4', false],
  ])('leaves half a body: %s', async (fault, breaks) => {
    const { text, broke } = await readToEnd(await chat(`fault:${fault}`))
    expect(broke).toBe(breaks)
    expect(text.startsWith('{"id"')).toBe(true)
    expect(() => JSON.parse(text)).toThrow()
  })

  it('is an error with status 200', async () => {
    const response = await chat('fault:errorevent=0')
    expect([response.status, await response.json()]).toMatchObject([200, { error: { type: 'server_error' } }])
  })
})

describe('directives', () => {
  it.each([
    ['Please fault:cut=3,slow=2 now', 'cut=3,slow=2'],
    ['Do fault:html200.', 'html200'],
    ['first fault:cut=1 then fault:cut=2', 'cut=2'],
    ['no fault here', undefined],
  ])('are found in %j', (text, directives) => {
    expect(directivesIn(text)).toBe(directives)
  })

  it.each(['', 'cut', 'cut=', 'cut=x', 'html200=1', 'usage=1', 'replay=../x', 'cut=1,,slow=1', 'nothing'])(
    'are refused: %j',
    (source) => {
      expect(() => parseScript(source)).toThrow('unknown directive')
    },
  )

  it('count only in the last user message', async () => {
    const messages = [...says('fault:status=500'), { role: 'assistant', content: 'no' }, ...says('again')]
    expect((await chat('', { messages })).status).toBe(200)
    const parts = [{ role: 'user', content: [{ type: 'text', text: 'fault:status=500' }] }]
    expect((await chat('', { messages: parts })).status).toBe(500)
  })
})
