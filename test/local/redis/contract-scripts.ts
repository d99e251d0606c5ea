import { createHash, randomUUID } from 'node:crypto'
import { expect, it } from 'vitest'
import { type Backend, clientOf, post } from './backend.ts'

/** Lua scripts through the real client, with first lines that only Upstash knows. */
export function scriptContract(backend: () => Backend): void {
  const redis = () => clientOf(backend().server)
  const unique = (body: string): string => `-- ${randomUUID()}\n${body}`

  it('maps what a script returns as Redis does', async () => {
    const cases: [string, unknown][] = [
      ['return 42', 42],
      ['return 3.99', 3],
      ["return 'text'", 'text'],
      ['return true', 1],
      ['return false', null],
      ['return nil', null],
      ["return {1, 'two', {3}}", [1, 'two', [3]]],
      ["return redis.status_reply('FINE')", 'FINE'],
      ["return {'OK', {'OK'}}", ['OK', ['OK']]],
    ]
    for (const [script, expected] of cases) expect(await redis().eval(script, [], []), script).toEqual(expected)
  })

  it('gives a script its keys and arguments', async () => {
    const key = `script:${randomUUID()}`
    const script = "redis.call('SET', KEYS[1], ARGV[1]) return {KEYS[1], redis.call('GET', KEYS[1]), #ARGV}"
    expect(await redis().eval(script, [key], ['wörld', 'b'])).toEqual([key, 'wörld', 2])
  })

  it('passes on the error of a script and of a command in it', async () => {
    await expect(redis().eval("return redis.error_reply('MINE broken')", [], [])).rejects.toThrow('MINE broken')
    await expect(redis().eval("return redis.call('NOPE')", [], [])).rejects.toThrow(/nknown/)
    const caught = "local r = redis.pcall('INCR', KEYS[1], 'x') return r.err and 'caught' or 'missed'"
    expect(await redis().eval(caught, ['k'], [])).toBe('caught')
  })

  it('loads, finds and runs a script by its SHA', async () => {
    const script = unique('return ARGV[1]')
    const sha = createHash('sha1').update(script).digest('hex')
    expect(await redis().scriptExists(sha)).toEqual([0])
    await expect(redis().evalsha(sha, [], ['x'])).rejects.toThrow('NOSCRIPT')
    expect(await redis().scriptLoad(script)).toBe(sha)
    expect(await redis().scriptExists(sha, '0'.repeat(40))).toEqual([1, 0])
    expect(await redis().evalsha(sha, [], ['x'])).toBe('x')
  })

  it('runs scripts whose first line has a flag of Upstash, under the SHA of their own text', async () => {
    for (const flags of ['allow-key-locking', 'no-writes,allow-key-locking']) {
      const script = `#!lua flags=${flags}\n${unique('return ARGV[1]')}`
      const sha = createHash('sha1').update(script).digest('hex')
      await expect(redis().evalsha(sha, [], ['x'])).rejects.toThrow('NOSCRIPT')
      expect(await redis().scriptLoad(script)).toBe(sha)
      expect(await redis().scriptExists(sha)).toEqual([1])
      expect(await redis().evalsha(sha.toUpperCase(), [], ['loaded'])).toBe('loaded')
      expect(await redis().eval(script, [], ['sent'])).toBe('sent')
    }
  })

  it('maps loaded SHAs inside a pipeline and a transaction too', async () => {
    const script = `#!lua flags=allow-key-locking\n${unique('return ARGV[1]')}`
    const sha = createHash('sha1').update(script).digest('hex')
    const loaded = await redis().pipeline().scriptLoad(script).evalsha(sha, [], ['a']).exec()
    expect(loaded).toEqual([sha, 'a'])
    expect(await redis().multi().scriptLoad(script).evalsha(sha, [], ['b']).exec()).toEqual([sha, 'b'])
  })

  it('keeps the line numbers of a rewritten script', async () => {
    const script = "#!lua flags=allow-key-locking\nlocal x = 1\nlocal ok = pcall(error)\nerror('here')"
    await expect(redis().eval(script, [], [])).rejects.toThrow(/user_script:4: here/)
  })

  it('keeps pcall and xpcall as they are for ordinary errors', async () => {
    const script = `
      local ok, first, second = pcall(function() return 1, 2 end)
      local failed, message = pcall(error, 'boom', 0)
      local handled, seen = xpcall(function() error('low', 0) end, function(e) return e .. '!' end)
      return {ok and 1, first, second, not failed and 1, message, not handled and 1, seen}`
    expect(await redis().eval(script, [], [])).toEqual([1, 1, 2, 1, 'boom', 1, 'low!'])
  })

  it.each([
    'while true do end',
    'while true do pcall(function() while true do end end) end',
    'while true do xpcall(function() while true do end end, tostring) end',
  ])('stops a runaway script with an error and goes on: %s', async (script) => {
    const impatient = await backend().restart({ commandTimeoutMs: 300 })
    try {
      const stopped = await post(impatient, '/', ['EVAL', script, '0'])
      expect([400, 504]).toContain(stopped.status)
      expect(stopped.body).toEqual({ error: expect.stringMatching(/limit|within 300 ms/) })
      await expect.poll(() => post(impatient, '/', ['PING']), { timeout: 5_000 }).toMatchObject({ status: 200 })
      expect((await post(impatient, '/', ['EVAL', 'return 1', '0'])).body).toEqual({ result: 1 })
    } finally {
      await impatient.close()
    }
  })
}
