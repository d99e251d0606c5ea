import { randomUUID } from 'node:crypto'
import { expect, it } from 'vitest'
import { type Backend, clientOf, post, send } from './backend.ts'

/** Requests, answers and errors of the REST API, on the wire and as the real client sees them. */
export function protocolContract(backend: () => Backend): void {
  const server = () => backend().server
  const key = (): string => `protocol:${randomUUID()}`

  it('runs a pipeline in one request, and one failing command does not stop the others', async () => {
    const name = key()
    const before = server().requests()
    const pipeline = clientOf(server()).pipeline().set(name, 'text').incr(name).get(name)
    const [set, incremented, got] = await pipeline.exec({ keepErrors: true })
    expect(set).toMatchObject({ result: 'OK' })
    expect(incremented).toMatchObject({ error: expect.stringContaining('not an integer') })
    expect(got).toMatchObject({ result: 'text' })
    expect(server().requests()).toEqual({ http: before.http + 1, commands: before.commands + 3 })
  })

  it('runs a transaction as one step, with errors in their places', async () => {
    const name = key()
    const commands = [
      ['SET', name, '1'],
      ['INCR', name],
      ['LPOP', name],
      ['GET', name],
    ]
    const { status, body } = await post(server(), '/multi-exec', commands)
    expect(status).toBe(200)
    expect(body).toEqual([
      { result: 'OK' },
      { result: 2 },
      { error: expect.stringMatching(/^WRONGTYPE/) },
      { result: '2' },
    ])
  })

  it('discards a transaction when a command cannot be queued', async () => {
    const name = key()
    const { status, body } = await post(server(), '/multi-exec', [['SET', name, '1'], ['GET']])
    expect(status).toBe(400)
    expect(body).toEqual({ error: expect.stringMatching(/^EXECABORT/) })
    expect(await clientOf(server()).exists(name)).toBe(0)
  })

  it('does not mix transactions of concurrent requests', async () => {
    const name = key()
    const bumps = Array.from({ length: 30 }, () =>
      clientOf(server()).multi().incr(name).incr(name).exec<[number, number]>(),
    )
    for (const [first, second] of await Promise.all(bumps)) expect(second).toBe(first + 1)
    expect(await clientOf(server()).get(name)).toBe(60)
  })

  it('gets the commands of one tick in a single request', async () => {
    const redis = clientOf(server(), { enableAutoPipelining: true })
    const names = Array.from({ length: 50 }, key)
    const before = server().requests()
    await Promise.all(names.map((name) => redis.set(name, name)))
    expect(server().requests()).toEqual({ http: before.http + 1, commands: before.commands + 50 })
  })

  it('encodes every string in base64 but a reply of OK, and leaves numbers and null', async () => {
    const encoding = { 'upstash-encoding': 'base64' }
    const name = key()
    expect((await post(server(), '/', ['SET', name, 'OK'], encoding)).body).toEqual({ result: 'OK' })
    expect((await post(server(), '/', ['PING'], encoding)).body).toEqual({ result: 'UE9ORw==' })
    expect((await post(server(), '/', ['MGET', name, 'missing'], encoding)).body).toEqual({ result: ['T0s=', null] })
    expect((await post(server(), '/', ['STRLEN', name], encoding)).body).toEqual({ result: 2 })
    expect((await post(server(), '/', ['MGET', name])).body).toEqual({ result: ['OK'] })
  })

  it('works without base64 as well', async () => {
    const redis = clientOf(server(), { base64: false })
    const name = key()
    await redis.hset(name, { text: 'ü', count: 1 })
    expect(await redis.hgetall(name)).toEqual({ text: 'ü', count: 1 })
  })

  it('takes commands in the path, with options from the query and the body as last argument', async () => {
    const name = key()
    expect((await send(server(), `/set/${name}/a%20b%2Fc?EX=100`)).body).toEqual({ result: 'OK' })
    expect((await send(server(), `/get/${name}`)).body).toEqual({ result: 'a b/c' })
    expect((await send(server(), `/ttl/${name}`)).body).toEqual({ result: expect.any(Number) })
    expect((await post(server(), `/set/${name}?nx`, 'other')).body).toEqual({ result: null })
    expect((await post(server(), `/append/${name}`, ' more')).body).toEqual({ result: 10 })
  })

  it('takes the token from the query', async () => {
    const response = await fetch(`${server().url}/ping?_token=${server().token}`)
    expect(await response.json()).toEqual({ result: 'PONG' })
  })

  it('sends a new sync token with every answer', async () => {
    const first = (await post(server(), '/', ['PING'])).headers.get('upstash-sync-token')
    const second = (await post(server(), '/', ['PING'])).headers.get('upstash-sync-token')
    expect(first).toBeTruthy()
    expect(second).not.toBe(first)
  })

  it.each([
    ['a wrong token', { authorization: 'Bearer wrong' }],
    ['no token', { authorization: '' }],
  ])('answers 401 for %s', async (_name, headers) => {
    const { status, body } = await post(server(), '/', ['PING'], headers)
    expect(status).toBe(401)
    expect(body).toEqual({ error: expect.stringContaining('WRONGPASS') })
  })

  it.each([
    ['text that is not JSON', '["GET"', '/'],
    ['no body', '', '/'],
    ['an object', '{"GET":"x"}', '/'],
    ['an empty command', '[]', '/'],
    ['a number as name', '[1]', '/'],
    ['a null argument', '["SET","k",null]', '/'],
    ['commands that are not arrays', '["GET","x"]', '/pipeline'],
    ['one object for a batch', '{}', '/multi-exec'],
  ])('answers 400 in JSON for %s', async (_name, body, path) => {
    const answer = await post(server(), path, body)
    expect(answer.status).toBe(400)
    expect(answer.body).toEqual({ error: expect.stringMatching(/^ERR /) })
  })

  it("passes Redis' own errors on with 400, and the client throws them", async () => {
    const name = key()
    await clientOf(server()).lpush(name, 'x')
    await expect(clientOf(server()).incr(name)).rejects.toThrow(/WRONGTYPE/)
    expect((await post(server(), '/', ['NOSUCHCOMMAND'])).status).toBe(400)
  })

  it.each([
    [['BLPOP', 'k', '0']],
    [['watch', 'k']],
    [['MULTI']],
    [['SUBSCRIBE', 'c']],
    [['SELECT', '1']],
    [['CONFIG', 'GET', '*']],
    [['SHUTDOWN']],
    [['CLIENT', 'KILL', 'TYPE', 'normal']],
    [['XREAD', 'BLOCK', '0', 'STREAMS', 's', '$']],
  ])('refuses %j with a reason', async (command) => {
    const { status, body } = await post(server(), '/', command)
    expect(status).toBe(400)
    expect(body).toEqual({ error: expect.stringContaining('Command is not available') })
    expect((await post(server(), '/multi-exec', [command])).status).toBe(400)
    const batch = await post(server(), '/pipeline', [['PING'], command, ['PING']])
    expect(batch.body).toEqual([{ result: 'PONG' }, { error: expect.any(String) }, { result: 'PONG' }])
  })

  it('answers 413 for a body that is too large, and keeps serving', async () => {
    const small = await backend().restart({ maxBodyBytes: 1_000 })
    try {
      for (const size of [2_000, 5_000_000]) {
        const { status, body } = await post(small, '/', ['SET', 'k', 'x'.repeat(size)])
        expect(status).toBe(413)
        expect(body).toEqual({ error: expect.stringContaining('max request size exceeded') })
      }
      expect((await post(small, '/', ['PING'])).body).toEqual({ result: 'PONG' })
    } finally {
      await small.close()
    }
  })

  it('delivers published messages to subscribers of a channel and of a pattern', async () => {
    const redis = clientOf(server())
    const channel = key()
    const received: unknown[] = []
    const direct = redis.subscribe<{ n: number }>(channel)
    const pattern = redis.psubscribe<string>(`${channel.slice(0, -4)}*`)
    direct.on('message', ({ message }) => received.push(message))
    pattern.on('pmessage', ({ channel: from, message }) => received.push([from, message]))
    await expect.poll(() => redis.publish(channel, 'probe')).toBe(2)
    received.length = 0
    await redis.publish(channel, { n: 1, text: 'a,b' })
    await expect
      .poll(() => received)
      .toEqual(expect.arrayContaining([{ n: 1, text: 'a,b' }, [channel, { n: 1, text: 'a,b' }]]))
    await Promise.all([direct.unsubscribe(), pattern.unsubscribe()])
    await expect.poll(() => redis.publish(channel, 'nobody')).toBe(0)
  })
}
