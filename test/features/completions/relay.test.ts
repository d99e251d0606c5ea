import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { AppError } from '../../../src/core/errors.ts'
import { type ChatStream, type StreamPart, UpstreamError } from '../../../src/core/models.ts'
import { errorFacts, type Relay, type RelayEnd, relay } from '../../../src/features/completions/relay.ts'
import { SSE_DONE, sseComment, sseData } from '../../../src/http/sse.ts'

const COMMENT = sseComment('keep-alive')

const part = (content: string): StreamPart => ({
  chunk: { choices: [{ index: 0, delta: { content } }] },
  json: JSON.stringify({ content }),
})

type Step = readonly StreamPart[] | Error | undefined

/** A vendor's stream that gives what it is told to, when it is told to. */
function fedSource() {
  const steps: Step[] = []
  let waiting: ((step: Step | 'cancelled') => void) | undefined
  let reads = 0
  let cancelled = false
  const next = (): Promise<Step | 'cancelled'> => {
    if (steps.length > 0) return Promise.resolve(steps.shift())
    return new Promise((resolve) => {
      waiting = resolve
    })
  }
  const stream: ChatStream = {
    async read() {
      reads += 1
      const step = cancelled ? 'cancelled' : await next()
      if (step === 'cancelled') throw new UpstreamError('aborted', 'cancelled')
      if (step instanceof Error) throw step
      return step
    },
    cancel() {
      cancelled = true
      waiting?.('cancelled')
    },
  }
  const feed = (...given: Step[]): void => {
    for (const step of given) {
      const resolve = waiting
      waiting = undefined
      if (resolve) resolve(step)
      else steps.push(step)
    }
  }
  return { stream, feed, reads: () => reads, isCancelled: () => cancelled }
}

function open(given: Partial<Relay> & Pick<Relay, 'source'>) {
  const ends: RelayEnd[] = []
  const written: number[] = []
  let leaves = 0
  const body = relay({
    pass: (parts) => ({ text: parts.map(({ json }) => sseData(json)).join(''), stop: false }),
    epilogue: () => SSE_DONE,
    failure: (error) => sseData(JSON.stringify({ error: errorFacts(error) })),
    keepAlive: COMMENT,
    onEnd: (end, bytesOut) => {
      ends.push(end)
      written.push(bytesOut)
    },
    onLeave: () => {
      leaves += 1
    },
    drains: false,
    signal: new AbortController().signal,
    nowMs: Date.now,
    ...given,
  })
  const reader = body.getReader()
  const decoder = new TextDecoder()
  const next = async () => {
    const { value } = await reader.read()
    return value === undefined ? undefined : decoder.decode(value)
  }
  const rest = async () => {
    let text = ''
    for (let piece = await next(); piece !== undefined; piece = await next()) text += piece
    return text
  }
  return { ends, written, leaves: () => leaves, reader, next, rest }
}

const turns = async (count = 20) => {
  for (let turn = 0; turn < count; turn++) await Promise.resolve()
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] })
})
afterEach(() => {
  vi.useRealTimers()
})

describe('a relayed stream', () => {
  it('ends with what its epilogue says', async () => {
    const { stream, feed } = fedSource()
    const { rest, ends } = open({ source: stream, epilogue: (end) => sseData(JSON.stringify({ end })) })
    feed([part('a'), part('b')], [part('c')], undefined)
    expect(await rest()).toBe(
      'data: {"content":"a"}\n\ndata: {"content":"b"}\n\ndata: {"content":"c"}\n\ndata: {"end":"finished"}\n\n',
    )
    expect(ends).toEqual(['finished'])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('waits for an end that is written later, with signs of life meanwhile', async () => {
    const { stream, feed } = fedSource()
    const { promise, resolve } = Promise.withResolvers<string>()
    const { next, rest, ends } = open({ source: stream, epilogue: () => promise })
    feed([part('a')], undefined)
    expect(await next()).toBe('data: {"content":"a"}\n\n')
    const waiting = next()
    await vi.advanceTimersByTimeAsync(10_000)
    expect([await waiting, ends]).toEqual([COMMENT, []])
    resolve(SSE_DONE)
    expect([await rest(), ends]).toEqual([SSE_DONE, ['finished']])
  })

  it.each(['end', 'failure'])('writes nothing to a caller who leaves while its %s is awaited', async (how) => {
    const { stream, feed } = fedSource()
    const { promise, resolve } = Promise.withResolvers<string>()
    const { next, reader, ends } = open({ source: stream, epilogue: () => promise, failure: () => promise })
    feed([part('a')], how === 'end' ? undefined : new UpstreamError('cut', 'gone'))
    await next()
    const waiting = next()
    await turns()
    await reader.cancel()
    resolve(SSE_DONE)
    expect([await waiting, ends]).toEqual([undefined, ['left']])
    await turns()
    expect(vi.getTimerCount()).toBe(0)
  })

  it('ends with an error event and no [DONE] when its vendor breaks off', async () => {
    const { stream, feed } = fedSource()
    const { rest, ends } = open({ source: stream })
    const cut = new UpstreamError('cut', 'gone')
    feed([part('a')], cut)
    const text = await rest()
    expect(text).toMatch(/"code":"provider_error"\}\}\n\n$/)
    expect(text).not.toContain('[DONE]')
    expect(ends).toEqual([{ failed: cut }])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('is stopped where its reader of parts says so, with the vendor told to end', async () => {
    const { stream, feed, isCancelled } = fedSource()
    const { rest, ends } = open({ source: stream, pass: () => ({ text: sseData('{"last":1}'), stop: true }) })
    feed([part('a')])
    expect(await rest()).toBe('data: {"last":1}\n\ndata: [DONE]\n\n')
    expect([ends, isCancelled()]).toEqual([['stopped'], true])
  })

  it('reads on past parts that say nothing to the caller', async () => {
    const { stream, feed } = fedSource()
    const { next } = open({
      source: stream,
      pass: (parts) => ({ text: parts.map(({ json }) => (json.includes('shown') ? json : '')).join(''), stop: false }),
    })
    feed([part('hidden')], [part('hidden')], [part('shown')])
    expect(await next()).toContain('shown')
  })
})

describe('the bytes of a stream', () => {
  it('are counted as they are written, comments and the epilogue included', async () => {
    const { stream, feed } = fedSource()
    const { rest, written } = open({ source: stream, opening: COMMENT })
    feed([part('Grüße 🦊')], undefined)
    const text = await rest()
    expect(text).toContain('🦊')
    expect(written).toEqual([Buffer.byteLength(text)])
  })

  it('are no more once the caller has left', async () => {
    const { stream, feed } = fedSource()
    const { next, reader, written } = open({ source: stream, drains: true })
    feed([part('a')])
    const first = await next()
    await reader.cancel()
    feed([part('b')], undefined)
    await expect.poll(() => written).toEqual([first?.length])
  })
})

describe('silence', () => {
  it('is filled with a comment every ten seconds', async () => {
    const { stream, feed } = fedSource()
    const { next } = open({ source: stream })
    const times: number[] = []
    const listening = (async () => {
      for (let piece = await next(); piece !== undefined && times.length < 4; piece = await next()) {
        expect(piece).toBe(times.length === 0 ? 'data: {"content":"a"}\n\n' : ': keep-alive\n\n')
        times.push(Date.now())
      }
    })()
    await vi.advanceTimersByTimeAsync(1100)
    feed([part('a')])
    await vi.advanceTimersByTimeAsync(60_000)
    const gaps = times.slice(1).map((time, at) => time - (times[at] ?? 0))
    expect(gaps).toHaveLength(3)
    for (const gap of gaps) {
      expect(gap).toBeGreaterThanOrEqual(10_000)
      expect(gap).toBeLessThanOrEqual(12_500)
    }
    await listening
  })

  it('is no reason for comments that nobody reads', async () => {
    const { stream, feed } = fedSource()
    const { next } = open({ source: stream })
    feed([part('a')])
    await vi.advanceTimersByTimeAsync(600_000)
    expect(await next()).toContain('"a"')
    feed([part('b')])
    expect(await next()).toContain('"b"')
  })

  it('before the first part is broken by a comment at once', async () => {
    const coming = Promise.withResolvers<ChatStream>()
    const { stream, feed } = fedSource()
    const { next } = open({ source: coming.promise, opening: COMMENT })
    expect(await next()).toBe(': keep-alive\n\n')
    const second = next()
    await vi.advanceTimersByTimeAsync(12_500)
    expect(await second).toBe(': keep-alive\n\n')
    coming.resolve(stream)
    feed([part('a')])
    expect(await next()).toContain('"a"')
  })

  it('that ends in a failure ends in an error event', async () => {
    const failed = new AppError('all_providers_failed', 'Every provider failed.')
    const { rest, ends } = open({ source: Promise.reject(failed), opening: COMMENT })
    expect(await rest()).toMatch(/^: keep-alive\n\ndata: \{"error":.*"code":"all_providers_failed"/)
    expect(ends).toEqual([{ failed }])
  })
})

describe('a slow caller', () => {
  it('slows the vendor: nothing is read ahead', async () => {
    const { stream, feed, reads } = fedSource()
    const { next } = open({ source: stream })
    for (let batch = 0; batch < 100; batch++) feed([part(String(batch))])
    await turns()
    expect(reads()).toBe(0)
    await next()
    await turns()
    expect(reads()).toBe(1)
    await vi.advanceTimersByTimeAsync(60_000)
    expect(reads()).toBe(1)
  })
})

describe('a caller who leaves', () => {
  it('ends the call while a read waits, once', async () => {
    const controller = new AbortController()
    const { stream, feed } = fedSource()
    const { next, reader, ends, leaves } = open({ source: stream, signal: controller.signal })
    feed([part('a')])
    await next()
    await reader.cancel()
    controller.abort()
    feed([part('late')], undefined)
    await turns()
    expect([ends, leaves()]).toEqual([['left'], 1])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('is noticed by the signal alone, also while nobody reads', async () => {
    const controller = new AbortController()
    const { stream, feed } = fedSource()
    const { ends, leaves, next } = open({ source: stream, signal: controller.signal })
    feed([part('a')], [part('b')])
    await turns()
    controller.abort()
    expect([ends, leaves()]).toEqual([['left'], 1])
    await expect(next()).rejects.toThrow()
  })

  it('was gone before it began', async () => {
    const { stream } = fedSource()
    const { ends } = open({ source: stream, signal: AbortSignal.abort() })
    await turns()
    expect(ends).toEqual(['left'])
  })

  it('may want the rest to be read, of which no part is lost or counted twice', async () => {
    const seen: string[] = []
    const { stream, feed } = fedSource()
    const { next, reader, ends } = open({
      source: stream,
      drains: true,
      pass: (parts) => {
        seen.push(...parts.map(({ json }) => json))
        return { text: parts.map(({ json }) => json).join(''), stop: false }
      },
    })
    feed([part('a')])
    await next()
    await turns()
    await reader.cancel()
    expect(ends).toEqual([])
    feed([part('b')], [part('c'), part('d')], undefined)
    await turns(50)
    expect(seen.join('')).toBe('{"content":"a"}{"content":"b"}{"content":"c"}{"content":"d"}')
    expect(ends).toEqual(['left'])
  })

  it('may want the rest to be read even if the vendor then breaks off', async () => {
    const { stream, feed } = fedSource()
    const { next, reader, ends } = open({ source: stream, drains: true })
    feed([part('a')])
    await next()
    await reader.cancel()
    feed(new UpstreamError('cut', 'gone'))
    await turns(50)
    expect(ends).toEqual(['left'])
  })
})

describe('what an interrupted stream tells', () => {
  it.each([
    ['timeout', new UpstreamError('timeout', 'x'), 'upstream_timeout'],
    ['a cut', new UpstreamError('cut', 'x'), 'provider_error'],
    ['an error of ours', new AppError('all_providers_failed', 'All failed.'), 'all_providers_failed'],
    ['a bug', new TypeError('secret detail'), 'internal'],
  ])('of %s', (_name, error, code) => {
    const facts = errorFacts(error)
    expect(facts.code).toBe(code)
    expect(facts.message).not.toContain('secret')
  })

  it('is the vendor’s own sentence where it said one', () => {
    const error = new UpstreamError('reported', 'x', { vendor: { message: 'Overloaded, sorry.' } })
    expect(errorFacts(error).message).toBe('Overloaded, sorry.')
  })
})
