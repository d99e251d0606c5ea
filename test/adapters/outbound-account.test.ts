import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { OutboundError, type OutboundRequest } from '../../src/core/outbound.ts'
import { dns, type Internet, startInternet } from './outbound-internet.ts'

let internet: Internet
beforeEach(async () => {
  internet = await startInternet()
})
afterEach(() => internet.close())

const toAccount = (extra: Partial<OutboundRequest> = {}): OutboundRequest => ({
  url: 'https://models.acme.com/v1/chat',
  purpose: 'account',
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

describe('a request to an account of an organisation', () => {
  it('goes out with its key once its name leads to public addresses, at each call anew', async () => {
    internet.zone('models.acme.com', { A: dns('A 93.184.216.34'), AAAA: dns('AAAA 2606:2800:21f:cb07::1') })
    const send = internet.outbound()
    for (const body of ['one', 'two']) {
      const request = toAccount({ method: 'POST', headers: { authorization: 'Bearer k' }, body })
      expect((await send(request)).status).toBe(200)
    }
    expect(internet.seen).toMatchObject([
      { host: 'models.acme.com', path: '/v1/chat', body: 'one', headers: { authorization: 'Bearer k' } },
      { body: 'two' },
    ])
    expect(internet.asked.toSorted()).toEqual(['A', 'A', 'AAAA', 'AAAA'].map((type) => `${type} models.acme.com`))
  })

  it('is refused from the moment on at which its name leads to a private address', async () => {
    internet.zone('models.acme.com', { A: dns('A 93.184.216.34') })
    const send = internet.outbound()
    await send(toAccount())
    internet.zone('models.acme.com', { A: dns('A 10.0.0.7') })
    expect(await failure(send(toAccount()))).toMatchObject({ fault: 'blocked', cause: 'private_address' })
    expect(internet.seen).toHaveLength(1)
  })

  it.each([
    ['http://models.acme.com/v1', 'scheme'],
    ['https://127.0.0.1/v1', 'ip_literal'],
    ['https://[fd00::1]/v1', 'ip_literal'],
    ['https://gpu.internal/v1', 'internal_name'],
    ['https://models.acme.com:8443/v1', 'port'],
    ['https://eu1-redis.upstash.io/v1', 'denied_host'],
    ['https://a:b@models.acme.com/v1', 'userinfo'],
    ['blob:https://models.acme.com/1', 'scheme'],
    ['nothing', 'malformed'],
  ])('never leaves for %s', async (url, cause) => {
    expect(await failure(internet.outbound()(toAccount({ url })))).toMatchObject({ fault: 'blocked', cause })
    expect(internet.seen).toEqual([])
  })

  it('is not sent on by a redirect', async () => {
    internet.zone('models.acme.com', { A: dns('A 93.184.216.34') })
    internet.serve((_request, response) => response.writeHead(307, { location: 'https://elsewhere.com/' }).end())
    const response = await internet.outbound()(toAccount({ headers: { authorization: 'Bearer k' } }))
    expect(response.status).toBe(307)
    expect(internet.seen).toHaveLength(1)
  })

  it('fails as unresolved when nobody can say where its name leads', async () => {
    internet.zone('models.acme.com', { both: 503 })
    expect(await failure(internet.outbound()(toAccount()))).toMatchObject({ fault: 'unresolved' })
  })

  it('ends with its headers’ time, and with its caller', async () => {
    internet.zone('models.acme.com', { A: dns('A 93.184.216.34') })
    const arrived = Promise.withResolvers<void>()
    internet.serve(() => arrived.resolve())
    const send = internet.outbound()
    expect(await failure(send(toAccount({ headersTimeoutMs: 50 })))).toMatchObject({ fault: 'timeout' })
    const caller = new AbortController()
    const sending = failure(send(toAccount({ signal: caller.signal })))
    await arrived.promise
    caller.abort()
    expect(await sending).toMatchObject({ fault: 'aborted' })
  })

  it('reaches an origin that tests name, whatever it is', async () => {
    const send = internet.outbound({ testOrigins: [internet.origin] })
    expect((await send(toAccount({ url: `${internet.origin}/any` }))).status).toBe(200)
    expect(internet.asked).toEqual([])
  })
})
