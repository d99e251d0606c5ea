import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createOutbound, type OutboundOptions } from '../../src/adapters/outbound.ts'

export type Seen = {
  host: string
  method: string
  path: string
  headers: Record<string, string | string[] | undefined>
  body: string
}
type Handler = (request: IncomingMessage, response: ServerResponse, seen: Seen) => void

async function listen(handler: (request: IncomingMessage, response: ServerResponse) => void) {
  const server = createServer(handler)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (!address || typeof address === 'string') throw new Error('no port')
  return { server, origin: `http://127.0.0.1:${address.port}` }
}

function closeServer(server: Server): Promise<void> {
  server.closeAllConnections()
  return new Promise((resolve) => server.close(() => resolve()))
}

const nameOf = (type: string) => ({ A: 1, CNAME: 5, AAAA: 28 })[type] ?? 0

/** A DNS answer whose records are written `A 1.2.3.4`. */
export const dns = (...records: string[]) => ({
  Status: 0,
  TC: false,
  Answer: records.map((record) => {
    const [type = '', data = ''] = record.split(' ')
    return { name: 'x.', type: nameOf(type), TTL: 60, data }
  }),
})

/**
 * A little Internet on loopback: one resolver, and one site that answers for every host name. `fetch` is the real one
 * with the address exchanged, so sockets, aborts and streams behave as they do outside.
 */
export async function startInternet() {
  let site: Handler = (_request, response) => response.end('ok')
  const zones = new Map<string, unknown>()
  const seen: Seen[] = []
  const asked: string[] = []
  let onDns: (() => void) | undefined

  const resolver = await listen((request, response) => {
    const query = new URL(request.url ?? '', 'http://resolver').searchParams
    const question = `${query.get('type')} ${query.get('name')}`
    asked.push(question)
    onDns?.()
    const answer =
      zones.get(question) ?? (zones.has(`* ${query.get('name')}`) ? zones.get(`* ${query.get('name')}`) : dns())
    if (answer === 'hang') return
    if (answer === 'reset') return void request.socket.destroy()
    if (typeof answer === 'number') return void response.writeHead(answer, { location: '/elsewhere' }).end('{}')
    response.setHeader('content-type', 'application/dns-json')
    response.end(typeof answer === 'string' ? answer : JSON.stringify(answer))
  })

  const web = await listen((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { 'x-real-host': host, ...headers } = request.headers
      const entry = {
        host: String(host ?? request.headers.host),
        method: request.method ?? '',
        path: request.url ?? '',
        headers,
        body: Buffer.concat(chunks).toString(),
      }
      seen.push(entry)
      site(request, response, entry)
    })
  })

  const fetchThere: typeof globalThis.fetch = (input, init) => {
    const url = new URL(String(input))
    if (url.protocol === 'http:') return fetch(url.href, init)
    const headers = new Headers(init?.headers)
    headers.set('x-real-host', url.host)
    return fetch(`${web.origin}${url.pathname}${url.search}`, { ...init, headers })
  }

  return {
    origin: web.origin,
    dohUrl: `${resolver.origin}/dns-query?token=dns-secret`,
    fetch: fetchThere,
    seen,
    asked,
    /** The site's answer from now on. */
    serve: (handler: Handler) => {
      site = handler
    },
    /** Sets a name's addresses; `answers` by record type, or one for both. */
    zone: (host: string, answers: { A?: unknown; AAAA?: unknown } | { both: unknown }) => {
      for (const [type, answer] of Object.entries(answers)) {
        zones.set(type === 'both' ? `* ${host}` : `${type} ${host}`, answer)
      }
    },
    onDns: (listener: () => void) => {
      onDns = listener
    },
    outbound: (options: Partial<OutboundOptions> = {}) =>
      createOutbound({
        trustedOrigins: [`${web.origin}/v1`],
        testOrigins: [],
        deniedHosts: ['helix.acme.dev', 'EU1-Redis.upstash.io.'],
        dohUrl: `${resolver.origin}/dns-query?token=dns-secret`,
        fetch: fetchThere,
        now: Date.now,
        ...options,
      }),
    close: () => Promise.all([closeServer(resolver.server), closeServer(web.server)]),
  }
}

export type Internet = Awaited<ReturnType<typeof startInternet>>
