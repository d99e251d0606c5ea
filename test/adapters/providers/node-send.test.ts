import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createOutbound } from '../../../src/adapters/outbound.ts'
import { nodePaths } from '../../../src/adapters/providers/node-paths.ts'
import { createNodeSend, openedWith } from '../../../src/adapters/providers/node-send.ts'
import { createOllama } from '../../../src/adapters/providers/ollama.ts'
import type { NodeRequest, NodeServer } from '../../../src/core/node.ts'
import { OutboundError } from '../../../src/core/outbound.ts'
import { anyUrl } from '../../support/any-character.ts'
import { count } from '../../support/lane.ts'

type Got = { method: string; url: string; headers: IncomingHttpHeaders }
type Answer = { status: number; headers?: Record<string, string>; body?: string }

const got: Got[] = []
let answer: Answer = { status: 200, body: '{}' }
let origin = ''

const server = createServer((request, response) => {
  got.push({ method: request.method ?? '', url: request.url ?? '', headers: request.headers })
  request.resume()
  response.writeHead(answer.status, answer.headers).end(answer.body)
})

beforeAll(async () => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

const outbound = () =>
  createOutbound({
    trustedOrigins: [origin],
    testOrigins: [origin],
    deniedHosts: [],
    dohUrl: 'http://127.0.0.1:9',
    fetch,
    now: Date.now,
  })

/** All three servers on one host, each below a path of its own. */
const endpoints = () => ({ baseUrl: `${origin}/ollama/`, speechUrl: `${origin}/speech`, agentUrl: `${origin}/agent` })
const credential = { type: 'service_token', clientId: 'an-id.access', clientSecret: 'a-secret-of-access' } as const

const sendTo = (purpose: 'node' | 'account' = 'node') =>
  createNodeSend({
    endpoints: endpoints(),
    headers: openedWith('node', credential).headers,
    outbound: outbound(),
    purpose,
  })

const servers = ['ollama', 'speech', 'agent'] as const satisfies readonly NodeServer[]
const listed = servers.flatMap((one) =>
  nodePaths[one].map((line) => {
    const [method = '', path = ''] = line.split(' ')
    return { server: one, method, path }
  }),
)

const method = fc.constantFrom<NodeRequest['method']>('GET', 'POST', 'DELETE')
const known = fc.constantFrom(...listed.map(({ path }) => path), '/api/delete', '/api/push', '/api/create', '/admin')
const noise = fc.constantFrom(
  ...[
    '/',
    '//',
    '/.',
    '/..',
    '/../',
    '/./',
    '%2e%2e',
    '%2f',
    '%2F..',
    '..%2f',
    '%5c',
    '\\',
    '\\..\\',
    '?',
    '?a=b',
    '#',
  ],
  ...[
    '#x',
    '@evil.test',
    ':80',
    ';x',
    '%00',
    '\0',
    '\r\n',
    '\n',
    '\t',
    ' ',
    '%20',
    '.',
    '․',
    '／',
    '%252e',
    '*',
    '&',
    '=',
  ],
)
const trick = fc.oneof(
  // What is on the list, with something before, within or behind it.
  fc.tuple(known, noise).map(([path, odd]) => path + odd),
  fc.tuple(known, noise).map(([path, odd]) => odd + path),
  fc.tuple(known, noise, fc.nat(40)).map(([path, odd, at]) => path.slice(0, at) + odd + path.slice(at)),
  fc.tuple(known, noise, known).map(([from, odd, to]) => from + odd + to),
  // Another case, another encoding, another place.
  known.map((path) => path.toUpperCase()),
  fc
    .tuple(known, fc.nat(40))
    .map(([path, at]) => path.slice(0, at) + (path[at] ?? '').toUpperCase() + path.slice(at + 1)),
  fc.tuple(known, fc.nat(40)).map(([path, at]) => {
    const code = path.charCodeAt(at)
    return Number.isNaN(code) ? `${path}%` : `${path.slice(0, at)}%${code.toString(16)}${path.slice(at + 1)}`
  }),
  known.map((path) => origin + path),
  known.map((path) => `//evil.test${path}`),
  known.map((path) => path.slice(1)),
  known,
  fc.string(),
  anyUrl,
  fc.constantFrom('__proto__', 'constructor', 'toString', '', '/'),
)

const isListed = (one: { server: string; method: string; path: string }) =>
  listed.some(({ server: at, method: how, path }) => at === one.server && how === one.method && path === one.path)

describe('the way to a node', () => {
  it('leads to nothing that is not on the list, however a path is written', async () => {
    const send = sendTo()
    const ask = fc.record({ server: fc.constantFrom(...servers), method, path: trick })
    const prefixes = { ollama: '/ollama', speech: '/speech', agent: '/agent' }
    let refused = 0
    await fc.assert(
      fc.asyncProperty(ask, async (one) => {
        got.length = 0
        const sent = send({ ...one, headersTimeoutMs: 10_000 })
        if (isListed(one)) {
          await (await sent).text()
          expect(got.map(({ method: how, url }) => `${how} ${url}`)).toEqual([
            `${one.method} ${prefixes[one.server]}${one.path}`,
          ])
        } else {
          refused += 1
          await expect(sent).rejects.toThrow(OutboundError)
          expect(got).toEqual([])
        }
      }),
      { numRuns: count(500, 5000) },
    )
    expect(refused).toBeGreaterThan(count(300, 3000))
  })

  it('leads to everything that is', async () => {
    const send = sendTo('account')
    got.length = 0
    for (const { server: one, method: how, path } of listed) {
      const request = { server: one, method: how as NodeRequest['method'], path, headersTimeoutMs: 10_000 }
      await (await send(request)).text()
    }
    expect(got).toHaveLength(listed.length)
  })

  it('carries the credential of the node, what is said of the body, and nothing else', async () => {
    got.length = 0
    const headers = {
      accept: 'application/json',
      'Content-Type': 'text/plain',
      authorization: 'Bearer of-the-caller',
      cookie: 'a=b',
      host: 'evil.test',
      'CF-Access-Client-Secret': 'of-the-caller',
    }
    const asked = { server: 'ollama', method: 'POST', path: '/api/chat', headers, body: 'x' } as const
    await (await sendTo()({ ...asked, headersTimeoutMs: 10_000 })).text()
    expect(got[0]?.headers).toMatchObject({
      accept: 'application/json',
      'content-type': 'text/plain',
      'cf-access-client-id': 'an-id.access',
      'cf-access-client-secret': 'a-secret-of-access',
      host: new URL(origin).host,
    })
    expect(got[0]?.headers.authorization).toBeUndefined()
    expect(got[0]?.headers.cookie).toBeUndefined()
  })

  it('follows no redirect, and takes the one to a login for a refused credential', async () => {
    const ask = { server: 'ollama', method: 'GET', path: '/api/tags', headersTimeoutMs: 10_000 } as const
    got.length = 0
    answer = { status: 302, headers: { location: `${origin}/elsewhere` } }
    expect((await sendTo()(ask)).status).toBe(302)
    answer = { status: 302, headers: { location: 'https://team.cloudflareaccess.com/cdn-cgi/access/login/x' } }
    await expect(sendTo()(ask)).rejects.toMatchObject({ fault: 'status', status: 401 })
    expect(got.map(({ url }) => url)).toEqual(['/ollama/api/tags', '/ollama/api/tags'])
  })

  it('has no server that its node has not', async () => {
    const send = createNodeSend({ endpoints: { baseUrl: origin }, headers: {}, outbound: outbound(), purpose: 'node' })
    const ask = { server: 'speech', method: 'GET', path: '/v1/models', headersTimeoutMs: 10_000 } as const
    await expect(send(ask)).rejects.toThrow('nothing that a node may be asked for')
  })

  it.each([
    'not a url',
    'https://user@node.test',
    'https://node.test/?a',
    'https://node.test/#',
    'https://node.test/a\\b',
  ])('has no base such as %s', (baseUrl) => {
    expect(() =>
      createNodeSend({ endpoints: { baseUrl }, headers: {}, outbound: outbound(), purpose: 'node' }),
    ).toThrow('The address of a node')
  })
})

describe('an Ollama behind a service token', () => {
  it('says neither half of it when the node quotes them', async () => {
    const node = createOllama({ name: 'gpu', baseUrl: `${origin}/ollama`, credential, outbound: outbound() })
    const quoted = `no ${credential.clientSecret} of ${credential.clientId} here`
    answer = { status: 403, body: JSON.stringify({ error: quoted }) }
    await expect(node.listModels(new AbortController().signal)).rejects.toMatchObject({
      status: 403,
      vendor: { message: 'no [redacted] of [redacted] here' },
    })
  })

  it('is refused when no header could carry it', () => {
    expect(() => openedWith('gpu', { type: 'bearer', token: 'two words' })).toThrow('no header can carry')
  })
})
