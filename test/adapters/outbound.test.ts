import { createServer } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createOutbound } from '../../src/adapters/outbound.ts'
import { OutboundError, type OutboundRequest } from '../../src/core/outbound.ts'
import { type Internet, startInternet } from './outbound-internet.ts'

let internet: Internet
beforeEach(async () => {
  internet = await startInternet()
})
afterEach(() => internet.close())

const toVendor = (extra: Partial<OutboundRequest> = {}): OutboundRequest => ({
  url: `${internet.origin}/v1/chat`,
  purpose: 'vendor',
  headersTimeoutMs: 5000,
  ...extra,
})

async function failure(promise: Promise<unknown>): Promise<OutboundError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!(error instanceof OutboundError)) throw new Error('expected an OutboundError', { cause: error })
  return error
}

/** Which abort listeners a signal has at the moment. */
function watchedSignal() {
  const controller = new AbortController()
  const { signal } = controller
  let listeners = 0
  const add = signal.addEventListener.bind(signal)
  const remove = signal.removeEventListener.bind(signal)
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    listeners += 1
    add(...args)
  }
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    listeners -= 1
    remove(...args)
  }
  return { controller, signal, listeners: () => listeners }
}

describe('a request to an origin that the environment names', () => {
  it('goes out as it is, and any status is an answer', async () => {
    internet.serve((_request, response) => response.writeHead(503, { 'retry-after': '7' }).end('busy'))
    const response = await internet.outbound()(
      toVendor({ method: 'POST', headers: { authorization: 'Bearer k', 'x-helix-id': '1' }, body: '{"a":1}' }),
    )
    expect([response.status, response.headers.get('retry-after'), await response.text()]).toEqual([503, '7', 'busy'])
    expect(internet.seen).toMatchObject([
      { method: 'POST', path: '/v1/chat', body: '{"a":1}', headers: { authorization: 'Bearer k', 'x-helix-id': '1' } },
    ])
  })

  it('sends bytes', async () => {
    await internet.outbound()(toVendor({ method: 'PUT', body: new TextEncoder().encode('grün') }))
    expect(internet.seen[0]?.body).toBe('grün')
  })

  it('asks no resolver', async () => {
    await internet.outbound()(toVendor())
    expect(internet.asked).toEqual([])
  })

  it.each(['vendor', 'node', 'store'] as const)('does not follow a redirect for a %s', async (purpose) => {
    internet.serve((_request, response) => response.writeHead(307, { location: '/other' }).end())
    const response = await internet.outbound()(toVendor({ purpose }))
    expect([response.status, response.headers.get('location')]).toEqual([307, '/other'])
    expect(internet.seen).toHaveLength(1)
  })

  it.each([
    ['another host', 'https://evil.com/v1/chat'],
    ['another port', 'http://127.0.0.1:1/v1/chat'],
    ['another scheme', 'https://127.0.0.1/'],
    ['a borrowed origin', 'blob:http://trusted.com/1'],
    ['credentials', 'http://user:secret@trusted.com/'],
    ['a host behind an at sign', 'http://trusted.com@evil.com/'],
    ['no URL', 'trusted.com'],
    ['an opaque origin', 'data:,x'],
  ])('is blocked with %s', async (_what, url) => {
    const outbound = internet.outbound({ trustedOrigins: ['http://trusted.com'] })
    expect((await failure(outbound(toVendor({ url })))).fault).toBe('blocked')
    expect(internet.seen).toEqual([])
  })

  it('finds its origin in any notation of the same address', async () => {
    const port = new URL(internet.origin).port
    const response = await internet.outbound()(toVendor({ url: `HTTP://127.1:${port}/v1` }))
    expect(response.status).toBe(200)
  })

  it('is not open to public requests', async () => {
    expect((await failure(internet.outbound()(toVendor({ purpose: 'public' })))).fault).toBe('blocked')
  })

  it('leaves the time to who keeps it, and ends as they say', async () => {
    const late = new Promise<void>((resolve) => {
      internet.serve((_request, response) => {
        setTimeout(() => response.end('late'), 60)
        resolve()
      })
    })
    const controller = new AbortController()
    const timed = { signal: controller.signal, headersTimeoutMs: 1, keepsTime: true }
    expect(await (await internet.outbound()(toVendor(timed))).text()).toBe('late')
    const own = new OutboundError('timeout', 'That was long enough.')
    const asked = failure(internet.outbound()(toVendor(timed)))
    await late
    controller.abort(own)
    expect(await asked).toBe(own)
    expect(await failure(internet.outbound()(toVendor(timed)))).toBe(own)
  })

  it('ends as a timeout when no headers come in time', async () => {
    internet.serve(() => undefined)
    const error = await failure(internet.outbound()(toVendor({ headersTimeoutMs: 30 })))
    expect([error.fault, error.message]).toEqual(['timeout', 'No response within 30 ms.'])
  })

  it('leaves the pace of the body to its reader', async () => {
    internet.serve((_request, response) => {
      response.write('a')
      setTimeout(() => response.end('b'), 120)
    })
    const response = await internet.outbound()(toVendor({ headersTimeoutMs: 60 }))
    expect(await response.text()).toBe('ab')
  })

  it('ends as a failed connection when nobody listens, naming the reason and no secret', async () => {
    const closed = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => closed.once('listening', resolve))
    const address = closed.address()
    const origin = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
    await new Promise((resolve) => closed.close(resolve))
    const outbound = internet.outbound({ trustedOrigins: [origin] })
    const error = await failure(outbound(toVendor({ url: `${origin}/v1?key=secret` })))
    expect([error.fault, error.message]).toEqual(['connect', `Could not reach ${origin} (ECONNREFUSED).`])
  })

  it('ends as a failed connection when the socket breaks before the headers', async () => {
    internet.serve((request) => request.socket.destroy())
    expect((await failure(internet.outbound()(toVendor()))).fault).toBe('connect')
  })

  it('is not sent for a caller who is already gone', async () => {
    const error = await failure(internet.outbound()(toVendor({ signal: AbortSignal.abort() })))
    expect(error.fault).toBe('aborted')
    expect(internet.seen).toEqual([])
  })

  it('ends with its caller before the headers, and lets go of the signal', async () => {
    const { controller, signal, listeners } = watchedSignal()
    internet.serve(() => controller.abort(new Error('private reason')))
    const error = await failure(internet.outbound()(toVendor({ signal })))
    expect([error.fault, error.message]).toEqual(['aborted', 'The caller ended the request.'])
    expect(listeners()).toBe(0)
  })

  it('ends with its caller inside the body, at the vendor too', async () => {
    const controller = new AbortController()
    const vendorSawEnd = new Promise<void>((resolve) => {
      internet.serve((request, response) => {
        response.write('first')
        request.socket.once('close', () => resolve())
      })
    })
    const response = await internet.outbound()(toVendor({ signal: controller.signal }))
    const reader = response.body?.getReader()
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe('first')
    controller.abort()
    expect(await reader?.read().catch((error: unknown) => error)).toMatchObject({ fault: 'aborted' })
    await vendorSawEnd
  })

  it('is refused, and quotes nothing, when a header cannot be sent', async () => {
    const error = await failure(internet.outbound()(toVendor({ headers: { authorization: 'Bearer sk\nsecret' } })))
    expect(error.fault).toBe('blocked')
    expect(JSON.stringify([error.message, error.cause, error.stack])).not.toContain('secret')
  })
})

describe('an environment', () => {
  it.each(['api.openai.com', 'blob:https://api.openai.com/x', ''])('is refused when it names %j', (origin) => {
    const options = { testOrigins: [], deniedHosts: [], dohUrl: 'https://dns.test/', fetch, now: Date.now }
    expect(() => createOutbound({ ...options, trustedOrigins: [origin] })).toThrow(TypeError)
  })
})
