import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { OutboundError, type OutboundRequest } from '../../src/core/outbound.ts'
import { hostileUrls } from '../core/hostile-urls.ts'
import { dns, type Internet, startInternet } from './outbound-internet.ts'

let internet: Internet
beforeEach(async () => {
  internet = await startInternet()
  for (const host of ['hooks.site.com', 'other.site.com', 'third.site.com']) {
    internet.zone(host, { A: dns('A 93.184.215.14'), AAAA: dns('AAAA 2606:2800:21f::1') })
  }
})
afterEach(() => internet.close())

const toPublic = (extra: Partial<OutboundRequest> = {}): OutboundRequest => ({
  url: 'https://hooks.site.com/in?q=1',
  purpose: 'public',
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

const refusal = async (promise: Promise<unknown>) => {
  const error = await failure(promise)
  return [error.fault, error.cause]
}

/** Answers each path with a redirect to where `targets` says, and everything else with `done`. */
function redirects(targets: Record<string, [number, string]>) {
  internet.serve((_request, response, { host, path }) => {
    const target = targets[`${host}${path}`]
    if (target) response.writeHead(target[0], { location: target[1] }).end('moved')
    else response.end('done')
  })
}

describe('a request to an address that a caller named', () => {
  it('goes out after both questions are answered with public addresses', async () => {
    const response = await internet.outbound()(toPublic({ method: 'post', body: 'x', headers: { 'X-Key': 'k' } }))
    expect(await response.text()).toBe('ok')
    expect(internet.asked.sort()).toEqual(['A hooks.site.com', 'AAAA hooks.site.com'])
    expect(internet.seen).toMatchObject([
      { host: 'hooks.site.com', method: 'POST', path: '/in?q=1', body: 'x', headers: { 'x-key': 'k' } },
    ])
  })

  it('reaches nobody, not even the resolver, for any hostile address', async () => {
    const outbound = internet.outbound({
      deniedHosts: ['helix.acme.dev', 'upstash.io', 'neon.tech', 'cfargotunnel.com', '10.9.8.7'],
    })
    for (const [reason, urls] of Object.entries(hostileUrls)) {
      for (const url of urls) expect(await refusal(outbound(toPublic({ url })))).toEqual(['blocked', reason])
    }
    expect([internet.seen, internet.asked]).toEqual([[], []])
  })

  it('names no credential and no query when it refuses', async () => {
    for (const url of ['https://user:hunter2@x.com/', 'https://10.0.0.1/?k=hunter2', 'hunter2', 'ftp://x/hunter2']) {
      const error = await failure(internet.outbound()(toPublic({ url })))
      expect(`${error.message}${error.stack}`).not.toContain('hunter2')
    }
  })

  it('goes without a look-up to an exact test origin, over plain http', async () => {
    const outbound = internet.outbound({ testOrigins: [internet.origin] })
    expect(await (await outbound(toPublic({ url: `${internet.origin}/x` }))).text()).toBe('ok')
    expect(internet.asked).toEqual([])
  })

  it.each([
    'Host',
    'connection',
    'Content-Length',
    'cookie',
    'X-Helix-Org',
    'transfer-encoding',
    'proxy-authorization',
    'CF-Connecting-IP',
    'upgrade',
  ])('may not set the header %s', async (name) => {
    expect(await refusal(internet.outbound()(toPublic({ headers: { [name]: '1' } })))).toEqual(['blocked', 'header'])
    expect(internet.asked).toEqual([])
  })
})

describe('the look-up of a name', () => {
  const v4 = dns('A 93.184.215.14')
  const v6 = dns('AAAA 2606:2800:21f::1')
  it.each([
    ['only IPv4', { A: v4, AAAA: dns() }],
    ['only IPv6', { A: dns(), AAAA: v6 }],
    [
      'an alias of a foreign host',
      { A: dns('CNAME edge.cdn.net.', 'A 93.184.215.14'), AAAA: dns('CNAME edge.cdn.net.') },
    ],
    ['a record of another kind', { A: dns('RRSIG abc', 'A 93.184.215.14'), AAAA: v6 }],
    ['no Answer field', { A: v4, AAAA: { Status: 0 } }],
  ])('lets it through with %s', async (_what, answers) => {
    internet.zone('a.site.com', answers)
    expect((await internet.outbound()(toPublic({ url: 'https://a.site.com/' }))).status).toBe(200)
  })

  it.each([
    ['a private IPv4 address', { A: dns('A 10.0.0.1'), AAAA: dns() }, 'private_address'],
    ['loopback', { A: dns('A 127.0.0.1'), AAAA: dns() }, 'private_address'],
    [
      'one private address among public ones',
      { A: dns('A 93.184.215.14', 'A 192.168.1.1'), AAAA: v6 },
      'private_address',
    ],
    ['a private IPv6 address beside a public IPv4 one', { A: v4, AAAA: dns('AAAA fd00::1') }, 'private_address'],
    ['NAT64 of loopback', { A: v4, AAAA: dns('AAAA 64:ff9b::7f00:1') }, 'private_address'],
    ['a mapped private address', { A: v4, AAAA: dns('AAAA ::ffff:10.0.0.1') }, 'private_address'],
    ['something that is no address', { A: dns('A hello'), AAAA: v6 }, 'private_address'],
    ['an IPv4 address in another notation', { A: dns('A 0x7f.1'), AAAA: v6 }, 'private_address'],
    [
      'an alias of a denied host',
      { A: dns('CNAME eu1-redis.upstash.io.', 'A 93.184.215.14'), AAAA: v6 },
      'denied_host',
    ],
    ['an alias below a denied host', { A: v4, AAAA: dns('CNAME a.Helix.Acme.Dev.') }, 'denied_host'],
    ['no address at all', { A: dns(), AAAA: dns() }, 'no_address'],
    ['a name that does not exist', { both: { Status: 3 } }, 'no_address'],
  ])('blocks it with %s', async (_what, answers, reason) => {
    internet.zone('a.site.com', answers)
    expect(await refusal(internet.outbound()(toPublic({ url: 'https://a.site.com/' })))).toEqual(['blocked', reason])
    expect(internet.seen).toEqual([])
  })

  it.each([
    ['fails for A', { A: { Status: 2 }, AAAA: v6 }],
    ['fails for AAAA', { A: v4, AAAA: { Status: 2 } }],
    ['refuses', { both: { Status: 5 } }],
    ['answers 500', { A: v4, AAAA: 500 }],
    ['redirects', { A: 302, AAAA: v6 }],
    ['answers with something else', { A: '<html>', AAAA: v6 }],
    ['answers with another shape', { A: { Status: '0', Answer: 'A' }, AAAA: v6 }],
    ['cuts its answer short', { A: { ...v4, TC: true }, AAAA: v6 }],
    ['drops the connection', { A: v4, AAAA: 'reset' }],
  ])('is unresolved when the resolver %s', async (_what, answers) => {
    internet.zone('a.site.com', answers)
    const error = await failure(internet.outbound()(toPublic({ url: 'https://a.site.com/' })))
    expect(error.fault).toBe('unresolved')
    expect(`${error.message}${error.stack}`).not.toContain('dns-secret')
    expect(internet.seen).toEqual([])
  })

  it('is unresolved when the resolver is silent past the deadline', async () => {
    internet.zone('a.site.com', { A: v4, AAAA: 'hang' })
    const request = toPublic({ url: 'https://a.site.com/', headersTimeoutMs: 40 })
    expect((await failure(internet.outbound()(request))).fault).toBe('unresolved')
  })

  it('ends with its caller', async () => {
    internet.zone('a.site.com', { both: 'hang' })
    const controller = new AbortController()
    internet.onDns(() => controller.abort())
    const request = toPublic({ url: 'https://a.site.com/', signal: controller.signal })
    expect((await failure(internet.outbound()(request))).fault).toBe('aborted')
  })

  it('is made anew for every request', async () => {
    const outbound = internet.outbound()
    await outbound(toPublic())
    internet.zone('hooks.site.com', { A: dns('A 10.0.0.1') })
    expect(await refusal(outbound(toPublic()))).toEqual(['blocked', 'private_address'])
  })
})

describe('a redirect', () => {
  it('is followed through the guard, resolved against the address it came from', async () => {
    redirects({
      'hooks.site.com/in?q=1': [302, 'next?b'],
      'hooks.site.com/next?b': [301, 'https://other.site.com/end'],
    })
    expect(await (await internet.outbound()(toPublic())).text()).toBe('done')
    expect(internet.seen.map(({ host, path }) => host + path)).toEqual([
      'hooks.site.com/in?q=1',
      'hooks.site.com/next?b',
      'other.site.com/end',
    ])
    expect(internet.asked).toHaveLength(6)
  })

  it.each([
    ['http://other.site.com/', 'scheme'],
    ['https://169.254.169.254/latest', 'ip_literal'],
    ['//[::ffff:7f00:1]/', 'ip_literal'],
    ['https://metadata.google.internal/', 'internal_name'],
    ['https://eu1-redis.upstash.io/get/key', 'denied_host'],
    ['https://user:pw@other.site.com/', 'userinfo'],
    ['https://other.site.com:8443/', 'port'],
    ['file:///etc/passwd', 'scheme'],
    ['https://[', 'malformed'],
  ])('is blocked towards %s', async (location, reason) => {
    redirects({ 'hooks.site.com/in?q=1': [302, location] })
    expect(await refusal(internet.outbound()(toPublic()))).toEqual(['blocked', reason])
    expect(internet.seen).toHaveLength(1)
  })

  it('is blocked towards a name with a private address', async () => {
    internet.zone('rebind.site.com', { both: dns('A 127.0.0.1') })
    redirects({ 'hooks.site.com/in?q=1': [307, 'https://rebind.site.com/'] })
    expect(await refusal(internet.outbound()(toPublic()))).toEqual(['blocked', 'private_address'])
  })

  it('is followed five times and not a sixth', async () => {
    internet.serve((_request, response, { path }) => {
      const step = Number(path.slice(1))
      if (step === 0) response.end('home')
      else response.writeHead(302, { location: `/${step - 1}` }).end()
    })
    const outbound = internet.outbound()
    expect(await (await outbound(toPublic({ url: 'https://hooks.site.com/5' }))).text()).toBe('home')
    expect(await refusal(outbound(toPublic({ url: 'https://hooks.site.com/6' })))).toEqual(['blocked', 'redirects'])
    expect(internet.seen).toHaveLength(6 + 6)
  })

  const headers = {
    Authorization: 'Bearer k',
    'x-api-key': 'k',
    'webhook-signature': 's',
    Accept: 'a/b',
    'User-Agent': 'helix',
  }

  it('keeps every header on the same origin', async () => {
    redirects({ 'hooks.site.com/in?q=1': [302, '/b'] })
    await internet.outbound()(toPublic({ headers }))
    expect(internet.seen[1]?.headers).toMatchObject({
      authorization: 'Bearer k',
      'x-api-key': 'k',
      'webhook-signature': 's',
    })
  })

  it('drops every header that could be a credential on another origin, and does not give it back', async () => {
    redirects({
      'hooks.site.com/in?q=1': [302, 'https://other.site.com/'],
      'other.site.com/': [302, 'https://hooks.site.com/b'],
    })
    await internet.outbound()(toPublic({ headers }))
    expect(internet.seen).toHaveLength(3)
    for (const { headers: sent } of internet.seen.slice(1)) {
      expect(sent).toMatchObject({ accept: 'a/b', 'user-agent': 'helix' })
      for (const name of ['authorization', 'x-api-key', 'webhook-signature']) expect(sent).not.toHaveProperty(name)
    }
  })

  it.each([
    [301, 'POST', 'GET', ''],
    [302, 'POST', 'GET', ''],
    [303, 'POST', 'GET', ''],
    [307, 'POST', 'POST', 'body'],
    [308, 'POST', 'POST', 'body'],
    [301, 'PUT', 'PUT', 'body'],
    [302, 'DELETE', 'DELETE', 'body'],
    [303, 'PUT', 'GET', ''],
    [307, 'PATCH', 'PATCH', 'body'],
  ])('of status %i turns %s into %s', async (status, method, becomes, body) => {
    redirects({ 'hooks.site.com/in?q=1': [status, '/b'] })
    await internet.outbound()(toPublic({ method, body: 'body', headers: { 'content-type': 'text/x' } }))
    expect(internet.seen[1]).toMatchObject({ method: becomes, body })
    expect(internet.seen[1]?.headers['content-type']).toBe(body ? 'text/x' : undefined)
  })

  it('keeps HEAD on 303', async () => {
    redirects({ 'hooks.site.com/in?q=1': [303, '/b'] })
    await internet.outbound()(toPublic({ method: 'HEAD' }))
    expect(internet.seen.map(({ method }) => method)).toEqual(['HEAD', 'HEAD'])
  })

  it('without a location, or of another status, is an answer', async () => {
    internet.serve((_request, response, { path }) => response.writeHead(Number(path.slice(1))).end())
    for (const status of [300, 302, 304]) {
      expect((await internet.outbound()(toPublic({ url: `https://hooks.site.com/${status}` }))).status).toBe(status)
    }
  })
})

describe('the response', () => {
  const megabyte = Buffer.alloc(1024 * 1024, 'a')

  it('keeps status, headers and body', async () => {
    internet.serve((_request, response) => response.writeHead(418, { 'x-a': 'b' }).end('tea'))
    const response = await internet.outbound()(toPublic())
    expect([response.status, response.headers.get('x-a'), await response.text()]).toEqual([418, 'b', 'tea'])
  })

  it('may be ten megabytes', async () => {
    internet.serve((_request, response) => {
      for (let count = 0; count < 10; count += 1) response.write(megabyte)
      response.end()
    })
    expect((await (await internet.outbound()(toPublic())).arrayBuffer()).byteLength).toBe(10 * megabyte.length)
  })

  it('is refused at once when it announces more', async () => {
    internet.serve((_request, response) =>
      response.writeHead(200, { 'content-length': 10 * megabyte.length + 1 }).write('a'),
    )
    expect(await refusal(internet.outbound()(toPublic()))).toEqual(['blocked', 'too_large'])
  })

  it('may be as large as its reader says, and no larger', async () => {
    internet.serve((_request, response) => response.end(Buffer.concat(Array(12).fill(megabyte))))
    const send = (maxBodyBytes: number) => internet.outbound()(toPublic({ maxBodyBytes }))
    expect((await (await send(12 * megabyte.length)).arrayBuffer()).byteLength).toBe(12 * megabyte.length)
    expect(await refusal(send(12 * megabyte.length - 1))).toEqual(['blocked', 'too_large'])
  })

  it('is cut when it turns out to be more, also when compressed', async () => {
    const packed = gzipSync(Buffer.alloc(11 * megabyte.length))
    internet.serve((_request, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(packed))
    const response = await internet.outbound()(toPublic())
    expect(await refusal(response.arrayBuffer())).toEqual(['blocked', 'too_large'])
  })

  it('ends as a timeout when no headers come in time', async () => {
    internet.serve(() => undefined)
    expect((await failure(internet.outbound()(toPublic({ headersTimeoutMs: 500 })))).fault).toBe('timeout')
  })

  it('counts the deadline of its headers over all redirects', async () => {
    internet.serve((_request, response) => {
      setTimeout(() => response.writeHead(302, { location: '/again' }).end(), 300)
    })
    expect((await failure(internet.outbound()(toPublic({ headersTimeoutMs: 800 })))).fault).toBe('timeout')
  })

  it('ends as a timeout thirty seconds after the request began', async () => {
    let nowMs = 0
    internet.serve((_request, response) => {
      nowMs = 29_970
      response.write('a')
    })
    const response = await internet.outbound({ now: () => nowMs })(toPublic())
    expect((await failure(response.text())).fault).toBe('timeout')
  })

  it('ends with its caller inside the body, at the other side too', async () => {
    const controller = new AbortController()
    const otherSideSawEnd = new Promise<void>((resolve) => {
      internet.serve((request, response) => {
        response.write('first')
        request.socket.once('close', () => resolve())
      })
    })
    const response = await internet.outbound()(toPublic({ signal: controller.signal }))
    const reader = response.body?.getReader()
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe('first')
    controller.abort()
    expect(await reader?.read().catch((error: unknown) => error)).toMatchObject({ fault: 'aborted' })
    await otherSideSawEnd
  })

  it('ends at the other side when its reader cancels it', async () => {
    const otherSideSawEnd = new Promise<void>((resolve) => {
      internet.serve((request, response) => {
        response.write('first')
        request.socket.once('close', () => resolve())
      })
    })
    await (await internet.outbound()(toPublic())).body?.cancel()
    await otherSideSawEnd
  })

  it('ends as a broken connection when the other side breaks off', async () => {
    internet.serve((request, response) => response.write('half', () => request.socket.destroy()))
    const response = await internet.outbound()(toPublic())
    expect((await failure(response.text())).fault).toBe('connect')
  })

  it('is a failed connection when the socket breaks before the headers', async () => {
    internet.serve((request) => request.socket.destroy())
    const error = await failure(internet.outbound()(toPublic()))
    expect(error.fault).toBe('connect')
    expect(error.message).toContain('https://hooks.site.com')
    expect(error.message).not.toContain('q=1')
  })
})
