import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { readClient } from '../../support/client-events.ts'
import { startGateway } from '../../support/gateway.ts'
import { scriptedBody } from '../../support/scripted-body.ts'

const event = (content: string, index = 0, finish: string | null = null) =>
  `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [{ index, delta: { content }, finish_reason: finish }] })}\n\n`
const finish = `${event('', 0, 'stop')}data: [DONE]\n\n`

const ask = (extra: object = {}) => ({
  model: 'openai/m',
  messages: [{ role: 'user', content: 'Hi' }],
  stream: true,
  ...extra,
})

afterEach(() => {
  vi.useRealTimers()
})

describe('a vendor that is silent for long', () => {
  const silentFor = async (answer: () => Response | Promise<Response>, extra: object = {}) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] })
    const awake = Promise.withResolvers<void>()
    const gateway = await startGateway({
      vendors: ['openai', 'groq'],
      upstream: async ({ to }) => {
        if (to === 'groq') return scriptedBody([event('from groq'), finish]).response
        await awake.promise
        return answer()
      },
    })
    const answering = gateway.chat(ask(extra))
    let answered = false
    void answering.then(() => {
      answered = true
    })
    while (gateway.sent.length === 0) await new Promise((resolve) => setImmediate(resolve))
    await vi.advanceTimersByTimeAsync(9900)
    expect(answered).toBe(false)
    await vi.advanceTimersByTimeAsync(200)
    expect(answered).toBe(true)
    return { gateway, response: await answering, wake: awake.resolve }
  }

  it('gets its caller a response that begins with a comment, and then the answer', async () => {
    const { gateway, response, wake } = await silentFor(() => scriptedBody([event('late'), finish]).response)
    const client = readClient(response)
    await vi.advanceTimersByTimeAsync(13_000)
    wake()
    expect(await client).toMatchObject({ status: 200, text: 'late', done: true, comments: 2, finish: { 0: ['stop'] } })
    expect(await gateway.rows()).toMatchObject([{ status: 'ok', provider: 'openai' }])
  })

  it('and then fails ends in an error event', async () => {
    const { gateway, response, wake } = await silentFor(() => new Response('{}', { status: 400 }))
    const client = readClient(response)
    wake()
    expect(await client).toMatchObject({ status: 200, done: false, comments: 1, finish: { 0: ['error'] } })
    expect((await client).errors).toHaveLength(1)
    expect(await gateway.rows()).toMatchObject([{ status: 'error' }])
  })

  it('and then fails leaves another target to answer, for nothing but comments has been shown', async () => {
    const helix = { fallback_models: ['groq/m'] }
    const { gateway, response, wake } = await silentFor(() => new Response('<html>', { status: 503 }), { helix })
    const client = readClient(response)
    wake()
    await vi.advanceTimersByTimeAsync(5000)
    expect(await client).toMatchObject({ text: 'from groq', done: true, errors: [] })
    expect(await gateway.rows()).toMatchObject([{ status: 'ok', provider: 'groq' }])
  })

  it('is let go when its caller leaves in the meantime, by whatever way the caller leaves', async () => {
    const { gateway, response, wake } = await silentFor(() => scriptedBody([event('late'), finish]).response)
    await response.body?.cancel()
    expect(gateway.sent[0]?.signal.aborted).toBe(true)
    wake()
    expect(await gateway.rows()).toMatchObject([{ status: 'aborted', estimated: true }])
  })

  it('is given up when its patience is over, with an error event', async () => {
    const { gateway, response } = await silentFor(() => new Promise(() => {}))
    const client = readClient(response)
    await vi.advanceTimersByTimeAsync(60_000)
    expect((await client).errors).toMatchObject([{ code: 'upstream_timeout' }])
    expect(gateway.sent[0]?.signal.aborted).toBe(true)
    expect(await gateway.rows()).toMatchObject([{ status: 'error', error_code: 'upstream_timeout' }])
  })

  it('in the middle of a stream is bridged by comments until its patience is over', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] })
    const gateway = await startGateway({
      upstream: ({ signal }) => scriptedBody([event('a')], { end: 'hang', signal }).response,
    })
    const client = readClient(await gateway.chat(ask()))
    await vi.advanceTimersByTimeAsync(61_000)
    expect(await client).toMatchObject({ text: 'a', done: false, errors: [{ code: 'upstream_timeout' }] })
    expect((await client).comments).toBeGreaterThanOrEqual(4)
    expect(await gateway.rows()).toMatchObject([{ status: 'error', estimated: true, completion_tokens: 1 }])
  })
})

describe('a slow caller', () => {
  it('slows the vendor: what is read ahead does not grow', async () => {
    const words = function* () {
      for (;;) yield event('word ')
    }
    let body: ReturnType<typeof scriptedBody> | undefined
    const gateway = await startGateway({
      upstream: ({ signal }) => {
        body = scriptedBody(words(), { signal })
        return body.response
      },
    })
    const reader = (await gateway.chat(ask())).body?.getReader()
    for (let read = 1; read <= 20; read++) {
      await reader?.read()
      for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
      expect((body?.taken() ?? 0) - read).toBeLessThanOrEqual(2)
    }
    await reader?.cancel()
    await body?.left
  })
})

/** A forced collection of garbage: what is left on the heap after it is really held. */
function collector(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc')
}

describe('a long stream', () => {
  it('of 100,000 chunks needs no memory that grows with it', async () => {
    const chunks = 100_000
    const words = function* () {
      for (let at = 0; at < chunks; at++) yield event('word ')
      yield finish
    }
    const gateway = await startGateway({ upstream: () => scriptedBody(words()).response })
    const collect = collector()
    const reader = (await gateway.chat(ask({ stream_options: { include_usage: true } }))).body?.getReader()
    let bytes = 0
    let reads = 0
    let early = 0
    for (let part = await reader?.read(); part?.value; part = await reader?.read()) {
      bytes += part.value.length
      reads += 1
      if (reads === 10_000) {
        collect()
        early = process.memoryUsage().heapUsed
      }
    }
    collect()
    expect(reads).toBeGreaterThanOrEqual(chunks)
    expect(bytes).toBeGreaterThan(chunks * 100)
    // The answer is 20 MB of events and half a MB of text.
    expect(process.memoryUsage().heapUsed - early).toBeLessThan(2 * 1024 * 1024)
    expect(await gateway.rows()).toMatchObject([{ status: 'ok', estimated: true, completion_tokens: chunks }])
  })
})

describe('a stream under a hard budget', () => {
  it('is stopped where the budget ends, with a reason for every choice', async () => {
    const words = function* () {
      for (;;) yield event('word ', 0) + event('word ', 1)
    }
    // gpt-4o: 2.5 and 10 USD per million tokens. The first slices of two choices fit, and not much more.
    const budgets = [{ id: 'bud_1', window: 'total' as const, limitNanoUsd: 30_000_000 }]
    const gateway = await startGateway({
      policy: { budgets },
      upstream: ({ signal }) => scriptedBody(words(), { signal }).response,
    })
    const body = ask({ model: 'gpt-4o', n: 2, max_tokens: 10_000, stream_options: { include_usage: true } })
    const client = await readClient(await gateway.chat(body))
    expect(client).toMatchObject({ done: true, errors: [], finish: { 0: ['length'], 1: ['length'] } })
    expect(gateway.sent[0]?.signal.aborted).toBe(true)
    const [row] = await gateway.rows()
    expect(row).toMatchObject({ status: 'budget', estimated: true })
    expect(row?.cost_nanos).toBeLessThanOrEqual(30_000_000)
    expect(row?.completion_tokens).toBeGreaterThan(700)
    expect(client.usages).toMatchObject([{ completion_tokens: row?.completion_tokens }])
    expect(gateway.ledger.openHolds()).toBe(0)
  })

  it('that is complete is not cut for the sake of its last words', async () => {
    const whole = Array.from({ length: 2500 }, () => event('word ')).join('')
    const usage = `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":1400,"total_tokens":1409}}\n\n`
    const budgets = [{ id: 'bud_1', window: 'total' as const, limitNanoUsd: 20_000_000 }]
    const gateway = await startGateway({
      policy: { budgets },
      upstream: () => scriptedBody([`${whole}${event('', 0, 'stop')}${usage}data: [DONE]\n\n`]).response,
    })
    const client = await readClient(await gateway.chat(ask({ model: 'gpt-4o', max_tokens: 10_000 })))
    expect(client).toMatchObject({ done: true, finish: { 0: ['stop'] } })
    expect(await gateway.rows()).toMatchObject([{ status: 'ok', estimated: false, completion_tokens: 1400 }])
  })
})

describe('a caller who wants the exact count', () => {
  const usage = `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}\n\n`
  const drained = ask({ helix: { on_disconnect: 'drain' } })

  it('leaves, and the vendor is listened to until its usage', async () => {
    const pieces = [event('a'), event('b'), event('c'), event('', 0, 'stop'), usage, 'data: [DONE]\n\n']
    const gateway = await startGateway({ upstream: ({ signal }) => scriptedBody(pieces, { signal }).response })
    const caller = new AbortController()
    const response = await gateway.chat(drained, { signal: caller.signal })
    await response.body?.getReader().read()
    caller.abort()
    const row = (await gateway.rows()).at(-1)
    expect(row).toMatchObject({ status: 'aborted', estimated: false, prompt_tokens: 9, completion_tokens: 4 })
  })

  it('leaves, and the vendor is given less time for it than the platform gives us', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] })
    const gateway = await startGateway({
      upstream: ({ signal }) => scriptedBody([event('two '), event('words')], { end: 'hang', signal }).response,
    })
    const response = await gateway.chat(drained)
    const reader = response.body?.getReader()
    await reader?.read()
    await reader?.cancel()
    await vi.advanceTimersByTimeAsync(23_000)
    expect(gateway.sent[0]?.signal.aborted).toBe(false)
    await vi.advanceTimersByTimeAsync(1500)
    expect(gateway.sent[0]?.signal.aborted).toBe(true)
    expect(await gateway.rows()).toMatchObject([{ status: 'aborted', estimated: true, completion_tokens: 2 }])
  })

  it('leaves no clock behind once the vendor has ended', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] })
    const pieces = [event('a'), event('b'), event('', 0, 'stop'), usage, 'data: [DONE]\n\n']
    const gateway = await startGateway({ upstream: ({ signal }) => scriptedBody(pieces, { signal }).response })
    const before = vi.getTimerCount()
    const caller = new AbortController()
    const response = await gateway.chat(drained, { signal: caller.signal })
    const reader = response.body?.getReader()
    await reader?.read()
    caller.abort()
    await reader?.cancel().catch(() => undefined)
    expect(await gateway.rows()).toMatchObject([{ status: 'aborted', estimated: false }])
    expect(vi.getTimerCount()).toBe(before)
  })
})
