import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Argument } from '../../../scripts/local/redis/commands.ts'
import { createScriptRewriter, rewriteForEmbedded, rewriteForServer } from '../../../scripts/local/redis/scripts.ts'

const LOCKING = '#!lua flags=allow-key-locking'

describe('rewriting for a server', () => {
  it.each([
    [`${LOCKING}\nreturn 1`, '--\nreturn 1'],
    ['#!lua flags=no-writes,allow-key-locking\nreturn 1', '#!lua flags=no-writes\nreturn 1'],
    ['#!lua flags=some-later-flag\nreturn 1', '--\nreturn 1'],
    ['#!lua flags=no-writes\nreturn 1', '#!lua flags=no-writes\nreturn 1'],
    ['#!lua name=library\nreturn 1', '#!lua name=library\nreturn 1'],
    ['return 1', 'return 1'],
    [LOCKING, '--'],
  ])('turns %j into %j', (source, expected) => {
    expect(rewriteForServer(source)).toBe(expected)
  })
})

describe('rewriting for the embedded engine', () => {
  it('drops any first line that Lua cannot read', () => {
    expect(rewriteForEmbedded('#!lua flags=no-writes\nreturn 1')).toBe('--\nreturn 1')
  })

  it('touches only scripts that call pcall or xpcall themselves', () => {
    expect(rewriteForEmbedded("return redis.pcall('GET', 'k')")).toBe("return redis.pcall('GET', 'k')")
    expect(rewriteForEmbedded('return pcall(error)')).toMatch(/^local pcall,xpcall=.* return pcall\(error\)$/)
  })

  it('never changes the number of lines', () => {
    const line = fc.constantFrom(LOCKING, '#!x', '', 'pcall(f)', 'return 1')
    const property = fc.property(fc.array(line), (lines) => {
      const source = lines.join('\n')
      expect(rewriteForEmbedded(source).split('\n')).toHaveLength(source.split('\n').length)
      expect(rewriteForServer(source).split('\n')).toHaveLength(source.split('\n').length)
    })
    fc.assert(property)
  })
})

describe('the script rewriter', () => {
  const load = (source: Argument) => ({ name: 'SCRIPT', args: ['load', source] })
  const shaOf = (bytes: Argument | undefined) =>
    createHash('sha1')
      .update(bytes ?? '')
      .digest('hex')

  it("answers SCRIPT LOAD with the caller's SHA and maps it from then on", () => {
    const { prepare } = createScriptRewriter(rewriteForServer)
    const source = `${LOCKING}\nreturn 'ü'`
    const loaded = prepare(load(source))
    const sentSha = shaOf(loaded.args[1])
    expect(loaded.mapReply?.(Buffer.from(sentSha))).toEqual(Buffer.from(shaOf(source)))
    expect(prepare({ name: 'EVALSHA', args: [shaOf(source), '0'] }).args).toEqual([sentSha, '0'])
    expect(prepare({ name: 'SCRIPT', args: ['EXISTS', shaOf(source), 'other'] }).args).toEqual([
      'EXISTS',
      sentSha,
      'other',
    ])
  })

  it('leaves every byte after the first line as it is', () => {
    const { prepare } = createScriptRewriter(rewriteForServer)
    const tail = fc.uint8Array().map((bytes) => Buffer.concat([Buffer.from('\n'), bytes]))
    const property = fc.property(tail, (rest) => {
      const { args } = prepare({ name: 'EVAL', args: [Buffer.concat([Buffer.from(LOCKING), rest]), '0'] })
      expect(args).toEqual([Buffer.concat([Buffer.from('--'), rest]), '0'])
    })
    fc.assert(property)
  })

  it('forgets the script that was not used for longest when it knows too many', () => {
    const { prepare } = createScriptRewriter(rewriteForServer, 2)
    const sources = ['a', 'b', 'c'].map((name) => `${LOCKING}\nreturn '${name}'`)
    const [a = '', b = '', c = ''] = sources
    const isMapped = (source: string) => prepare({ name: 'EVALSHA', args: [shaOf(source)] }).args[0] !== shaOf(source)
    prepare(load(a))
    prepare(load(b))
    expect(isMapped(a)).toBe(true)
    prepare(load(c))
    expect([a, b, c].map(isMapped)).toEqual([true, false, true])
  })

  it('passes on commands without the arguments they need', () => {
    const { prepare } = createScriptRewriter(rewriteForServer)
    for (const name of ['EVAL', 'EVALSHA', 'SCRIPT']) expect(prepare({ name, args: [] })).toEqual({ name, args: [] })
    expect(prepare({ name: 'SCRIPT', args: ['LOAD'] })).toEqual({ name: 'SCRIPT', args: ['LOAD'] })
  })
})
