import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { readText, watchBody } from '../../../src/adapters/providers/upstream-body.ts'
import type { ChatStream } from '../../../src/core/models.ts'
import type { Outbound } from '../../../src/core/outbound.ts'
import {
  callOf,
  chunkEvent,
  chunkOf,
  fedStream,
  readAll,
  scripted,
  textOf,
  timeouts,
  upstreamFailure,
  vendor,
} from './support.ts'

afterEach(() => {
  vi.useRealTimers()
})

const piece = chunkEvent(chunkOf({ content: 'x' }))

async function openStream(outbound: Outbound, signal = new AbortController().signal): Promise<ChatStream> {
  const answer = await vendor(outbound).chat(callOf({ stream: true }, { signal }))
  if (answer.kind !== 'stream') throw new Error('no stream')
  return answer.stream
}

async function openFed(signal?: AbortSignal) {
  const fed = fedStream()
  const { outbound, requests } = scripted(() => fed.response)
  return { ...fed, stream: await openStream(outbound, signal), vendorSignal: requests[0]?.signal }
}

describe('a silent vendor', () => {
  it('is given up after the idle time, and its request is ended', async () => {
    vi.useFakeTimers()
    const { stream, write, vendorSignal } = await openFed()
    void write(piece)
    await stream.read()
    const failure = upstreamFailure(stream.read())
    await vi.advanceTimersByTimeAsync(timeouts.idleMs - 1)
    expect(vendorSignal?.aborted).toBe(false)
    await vi.advanceTimersByTimeAsync(2)
    expect(await failure).toMatchObject({ fault: 'timeout' })
    expect(vendorSignal?.aborted).toBe(true)
  })

  it('is alive with every comment', async () => {
    vi.useFakeTimers()
    const { stream, write } = await openFed()
    const read = stream.read()
    for (let count = 0; count < 5; count++) {
      await vi.advanceTimersByTimeAsync(timeouts.idleMs - 10)
      await write(': keep-alive\n\n')
    }
    await write(piece)
    expect(await read).toHaveLength(1)
  })

  it('is not blamed for a reader that does not ask', async () => {
    vi.useFakeTimers()
    const { stream, write } = await openFed()
    void write(piece)
    await stream.read()
    const arming = vi.spyOn(globalThis, 'setTimeout')
    await vi.advanceTimersByTimeAsync(timeouts.idleMs * 3)
    expect(arming.mock.calls.length).toBeLessThanOrEqual(4)
    arming.mockRestore()
    const read = stream.read()
    await write(piece)
    expect(await read).toHaveLength(1)
  })

  it('may not talk beyond the total time either', async () => {
    vi.useFakeTimers()
    const { stream, write } = await openFed()
    let failure: unknown
    const reading = readAll(stream).then((result) => {
      failure = result.failure
    })
    for (let passedMs = 0; passedMs < timeouts.totalMs; passedMs += 1000) {
      expect(failure).toBeUndefined()
      void write(piece).catch(() => undefined)
      await vi.advanceTimersByTimeAsync(1000)
    }
    await reading
    expect(failure).toMatchObject({ fault: 'timeout' })
  })

  it('that owes the words of an error is left with its status', async () => {
    vi.useFakeTimers()
    const { readable } = new TransformStream<Uint8Array, Uint8Array>()
    const { outbound } = scripted(() => new Response(readable, { status: 503 }))
    const failure = upstreamFailure(openStream(outbound))
    await vi.advanceTimersByTimeAsync(5001)
    expect(await failure).toMatchObject({ fault: 'status', status: 503, vendor: undefined })
  })

  it('leaves no timer behind, however the stream ends', async () => {
    vi.useFakeTimers()
    const cleanEnd = await openFed()
    void cleanEnd.write(`${piece}data: [DONE]\n\n`)
    await readAll(cleanEnd.stream)
    await cleanEnd.writer.close()
    await vi.advanceTimersByTimeAsync(0)
    const cancelled = await openFed()
    cancelled.stream.cancel()
    const cut = await openFed()
    void cut.writer.abort(new Error('reset'))
    await readAll(cut.stream)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('that keeps the connection after [DONE] loses it', async () => {
    vi.useFakeTimers()
    const { stream, write, vendorSignal } = await openFed()
    void write(`${piece}data: [DONE]\n\n`)
    expect((await readAll(stream)).failure).toBeUndefined()
    expect(vendorSignal?.aborted).toBe(false)
    await vi.advanceTimersByTimeAsync(1001)
    expect(vendorSignal?.aborted).toBe(true)
  })
})

describe('a broken or cancelled stream', () => {
  it('that loses its connection is cut', async () => {
    const { stream, write, writer } = await openFed()
    void write(piece)
    expect(await stream.read()).toHaveLength(1)
    void writer.abort(new Error('reset'))
    expect(await upstreamFailure(stream.read())).toMatchObject({ fault: 'cut' })
  })

  it('can be cancelled twice, while a read waits', async () => {
    const { stream, vendorSignal } = await openFed()
    const failure = upstreamFailure(stream.read())
    stream.cancel()
    stream.cancel()
    expect(await failure).toMatchObject({ fault: 'aborted' })
    expect(vendorSignal?.aborted).toBe(true)
  })

  it('ends with the caller', async () => {
    const caller = new AbortController()
    const { stream, vendorSignal } = await openFed(caller.signal)
    const failure = upstreamFailure(stream.read())
    caller.abort()
    expect(await failure).toMatchObject({ fault: 'aborted' })
    expect(vendorSignal?.aborted).toBe(true)
  })

  it('stays ended after its clean end', async () => {
    const { stream, write, writer } = await openFed()
    void write(`${piece}data: [DONE]\n\n`)
    await readAll(stream)
    void writer.close()
    stream.cancel()
    expect(await stream.read()).toBeUndefined()
  })
})

describe('a body that is read whole', () => {
  const bodyOf = (text: string) => {
    const controller = new AbortController()
    const limits = { idleMs: 1000, deadlineMs: Date.now() + 1000 }
    const { signal } = new AbortController()
    const body = watchBody({ response: new Response(text), limits, controller, signal, name: 'vendor', now: Date.now })
    return { body, controller }
  }

  it('may be as large as its cap, and is given up one byte later', async () => {
    expect(await readText(bodyOf('äbcd').body, 5)).toBe('äbcd')
    const { body, controller } = bodyOf('äbcde')
    expect(await upstreamFailure(readText(body, 5))).toMatchObject({ fault: 'garbage' })
    expect(controller.signal.aborted).toBe(true)
  })
})

describe('against a real server', () => {
  it('hanging up closes the vendor’s connection within 100 ms', async () => {
    const closed = Promise.withResolvers<number>()
    const server = createServer((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(piece)
      response.on('close', () => closed.resolve(performance.now()))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const outbound: Outbound = ({ method, headers, body, signal }) =>
      fetch(`http://127.0.0.1:${port}/`, {
        ...(method ? { method } : {}),
        ...(headers ? { headers } : {}),
        ...(typeof body === 'string' ? { body } : {}),
        ...(signal ? { signal } : {}),
      })
    try {
      const stream = await openStream(outbound)
      expect(textOf((await stream.read()) ?? [])).toBe('x')
      const leftAt = performance.now()
      stream.cancel()
      expect((await closed.promise) - leftAt).toBeLessThan(100)
    } finally {
      server.closeAllConnections()
      server.close()
    }
  })
})
