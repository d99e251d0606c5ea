import { once } from 'node:events'
import { connect, createServer, type Server } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type LocalRedis, startRedis } from '../../../scripts/local/redis/server.ts'
import { findRedisServer, startRealRedis } from '../../support/real-redis.ts'
import { clientOf, post, send, TOKEN } from './backend.ts'

let server: LocalRedis

beforeEach(async () => {
  server = await startRedis({ token: TOKEN })
})
afterEach(() => server.close())

describe('the server', () => {
  it('listens on the loopback address only and says where', () => {
    expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    expect(server.token).toBe(TOKEN)
  })

  it('tells its health without a token, and does not count that as a request', async () => {
    const response = await fetch(`${server.url}/health`)
    expect(response.status).toBe(200)
    expect(await response.json()).toEqual({ status: 'ok', engine: 'embedded' })
    expect(server.requests()).toEqual({ http: 0, commands: 0 })
  })

  it('needs a token', async () => {
    await expect(startRedis({ token: '' })).rejects.toThrow('needs a token')
  })

  it('says when its port is taken', async () => {
    const port = Number(new URL(server.url).port)
    await expect(startRedis({ token: TOKEN, port })).rejects.toThrow(`cannot listen on port ${port}`)
  })

  it('does not share keys with another embedded engine', async () => {
    const other = await startRedis({ token: TOKEN })
    await clientOf(server).set('k', 'mine')
    expect(await clientOf(other).get('k')).toBeNull()
    await other.close()
  })

  it('answers 405 for other methods and JSON for requests that are no HTTP', async () => {
    expect(await send(server, '/', { method: 'DELETE' })).toMatchObject({ status: 405, body: { error: /method/ } })
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
    socket.write('NONSENSE\r\n\r\n')
    const chunks: Buffer[] = []
    for await (const chunk of socket) chunks.push(chunk)
    const text = Buffer.concat(chunks).toString()
    expect(text).toMatch(/^HTTP\/1\.1 400 /)
    expect(JSON.parse(text.split('\r\n\r\n')[1] ?? '')).toEqual({ error: 'ERR Bad Request' })
  })

  it('frees its port and ends streams on close, and can be closed twice', async () => {
    const stream = await fetch(`${server.url}/subscribe/c`, { headers: { authorization: `Bearer ${TOKEN}` } })
    const ended = stream.text()
    await Promise.all([server.close(), server.close()])
    expect(await ended).toBe('data: subscribe,c,1\n\n')
    await expect(fetch(`${server.url}/health`)).rejects.toThrow()
    const next = await startRedis({ token: TOKEN, port: Number(new URL(server.url).port) })
    await next.close()
  })

  it('finishes a request under way before it closes', async () => {
    const { port } = new URL(server.url)
    const socket = connect(Number(port), '127.0.0.1')
    await once(socket, 'connect')
    const body = '["PING"]'
    socket.write(
      `POST / HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${TOKEN}\r\ncontent-length: ${body.length}\r\n\r\n[`,
    )
    await expect.poll(() => server.requests().http).toBe(1)
    const closed = server.close()
    socket.write(body.slice(1))
    const chunks: Buffer[] = []
    for await (const chunk of socket) chunks.push(chunk)
    expect(Buffer.concat(chunks).toString()).toContain('{"result":"PONG"}')
    await closed
  })

  it('splits a published payload with line breaks into lines of one event', async () => {
    const abort = new AbortController()
    const headers = { authorization: `Bearer ${TOKEN}` }
    const stream = await fetch(`${server.url}/subscribe/c`, { headers, signal: abort.signal })
    await post(server, '/', ['PUBLISH', 'c', 'one\ndata: two\r\nthree,four'])
    const decoder = new TextDecoder()
    let text = ''
    for await (const chunk of stream.body ?? []) {
      text += decoder.decode(chunk, { stream: true })
      if (text.endsWith('three,four\n\n')) break
    }
    expect(text).toBe('data: subscribe,c,1\n\ndata: message,c,one\ndata: data: two\ndata: three,four\n\n')
  })

  it('needs a channel and a token to subscribe', async () => {
    expect(await post(server, '/subscribe', '')).toMatchObject({ status: 400 })
    expect(await post(server, '/subscribe/c', '', { authorization: 'Bearer x' })).toMatchObject({ status: 401 })
  })
})

describe('an upstream', () => {
  it('needs a URL of Redis', async () => {
    await expect(startRedis({ token: TOKEN, upstream: 'localhost:6379' })).rejects.toThrow('starts with redis://')
  })

  it('must be reachable at the start, and its password stays out of the message', async () => {
    const upstream = 'redis://user:secret@127.0.0.1:1'
    const failed = startRedis({ token: TOKEN, upstream, commandTimeoutMs: 500 })
    await expect(failed).rejects.toThrow(/no Redis at redis:\/\/127\.0\.0\.1:1: .*ECONNREFUSED/)
    await expect(failed).rejects.not.toThrow('secret')
  })

  it('that goes silent gets every command a clear error after the limit', async () => {
    const silent = await startSilentRedis()
    const bridge = await startRedis({ token: TOKEN, upstream: silent.url, commandTimeoutMs: 100 })
    const error = 'ERR command did not finish within 100 ms'
    expect(await post(bridge, '/', ['GET', 'k'])).toMatchObject({ status: 504, body: { error } })
    expect(await post(bridge, '/pipeline', [['GET', 'k']])).toMatchObject({ status: 504, body: { error } })
    expect(await post(bridge, '/multi-exec', [['GET', 'k']])).toMatchObject({ status: 504, body: { error } })
    expect(await post(bridge, '/subscribe/c', '')).toMatchObject({ status: 504 })
    expect(await fetch(`${bridge.url}/health`)).toMatchObject({ status: 503 })
    await bridge.close()
    silent.close()
  })

  it.skipIf(findRedisServer() === undefined)('that goes away gets every command a clear error', async () => {
    const real = await startRealRedis()
    if (!real) return
    const bridge = await startRedis({ token: TOKEN, upstream: real.url, commandTimeoutMs: 2_000 })
    await real.stop()
    const error = expect.stringMatching(/^ERR Redis is not reachable: /)
    expect(await post(bridge, '/', ['PING'])).toMatchObject({ status: 503, body: { error } })
    expect(await post(bridge, '/pipeline', [['PING']])).toMatchObject({ status: 503, body: { error } })
    expect(await post(bridge, '/multi-exec', [['PING']])).toMatchObject({ status: 503, body: { error } })
    await bridge.close()
  })
})

/** A server that greets like Redis and then never answers a command. */
async function startSilentRedis(): Promise<{ url: string; close(): void }> {
  const listener: Server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.on('data', (chunk: Buffer) => {
      const greetings = chunk.toString().match(/\$(4\r\ninfo|7\r\nSETINFO)\r\n/gi) ?? []
      for (const greeting of greetings)
        socket.write(greeting.startsWith('$4') ? '$15\r\nredis_version:7\r\n' : '+OK\r\n')
    })
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const address = listener.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return { url: `redis://127.0.0.1:${port}`, close: () => listener.close() }
}
