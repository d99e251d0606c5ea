import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createCycleBuilder } from '../../../scripts/local/postgres/session-cycle.ts'
import { parseArray, toJsonValue } from '../../../scripts/local/postgres/sql-json.ts'
import { createTurns } from '../../../scripts/local/postgres/turns.ts'
import {
  backendMessages,
  createFrameReader,
  cString,
  finalStatus,
  frame,
  simpleQuery,
} from '../../../scripts/local/postgres/wire.ts'

const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array))

describe('the frame reader', () => {
  it('finds the same messages however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(bytes, { maxLength: 8 }), fc.array(fc.nat(400), { maxLength: 20 }), (bodies, cuts) => {
        const messages = bodies.map((body) => frame('Q', body))
        const stream = Buffer.concat(messages)
        const reader = createFrameReader(1000)
        const found: Buffer[] = []
        const edges = [0, ...cuts.filter((cut) => cut < stream.length).sort((a, b) => a - b), stream.length]
        for (const [index, start] of edges.entries()) {
          reader.push(stream.subarray(start, edges[index + 1] ?? stream.length))
          for (let message = reader.message(); message; message = reader.message()) found.push(message)
        }
        expect(found).toEqual(messages)
        expect(reader.rest()).toHaveLength(0)
      }),
    )
  })

  it('refuses messages above its limit before they have arrived', () => {
    const reader = createFrameReader(100)
    reader.push(frame('Q', Buffer.alloc(97)).subarray(0, 5))
    expect(() => reader.message()).toThrow(expect.objectContaining({ code: '54000' }))
  })

  it('refuses a length that cannot be', () => {
    const reader = createFrameReader(100)
    reader.push(Buffer.from([0x51, 0, 0, 0, 3, 0]))
    expect(() => reader.message()).toThrow(expect.objectContaining({ code: '08P01' }))
  })
})

describe('the status at the end of an answer', () => {
  it('is the one of a ReadyForQuery that ends the bytes, and only then', () => {
    const ready = frame('Z', Buffer.from('T'))
    expect(finalStatus(Buffer.concat([frame('1'), ready]))).toBe('T')
    expect(finalStatus(Buffer.concat([ready, frame('1')]))).toBeUndefined()
    expect(finalStatus(Buffer.alloc(0))).toBeUndefined()
  })
})

describe('a cycle', () => {
  const types = (cycle: { bytes: Buffer } | undefined) =>
    cycle && [...backendMessages(cycle.bytes)].map(({ type }) => type).join('')

  it('is complete at a Sync, a Flush or a simple query, and ends any COPY', () => {
    const cycles = createCycleBuilder(1)
    expect(types(cycles.add(frame('P', cString(''), cString('select 1'), Buffer.alloc(2))))).toBeUndefined()
    expect(types(cycles.add(frame('S')))).toBe('PfS')
    expect(types(cycles.add(simpleQuery('select 1')))).toBe('Qf')
    expect(types(cycles.add(frame('H')))).toBe('fH')
    expect(types(cycles.add(frame('c')))).toBeUndefined()
  })

  it('uses one backend name per session and statement name', () => {
    const nameIn = (session: number, message: Buffer, at: number) => {
      const cycles = createCycleBuilder(session)
      cycles.add(message)
      const [first] = [...backendMessages(cycles.add(frame('S'))?.bytes ?? Buffer.alloc(0))]
      return first?.body.subarray(at).toString().split('\0')[0]
    }
    const parse = frame('P', cString('a'), cString('select 1'), Buffer.alloc(2))
    const bind = frame('B', cString('portal'), cString('a'), Buffer.alloc(6))
    const describePortal = frame('D', Buffer.from('P'), cString('a'))
    expect(nameIn(1, parse, 0)).not.toBe(nameIn(2, parse, 0))
    expect(nameIn(1, bind, 'portal'.length + 1)).toBe(nameIn(1, parse, 0))
    expect(nameIn(1, frame('D', Buffer.from('S'), cString('a')), 1)).toBe(nameIn(1, parse, 0))
    expect(nameIn(1, describePortal, 1)).toBe('a')
  })
})

describe('turns', () => {
  it('go to one holder at a time in the order of asking, past those who left', async () => {
    const turns = createTurns<string>()
    const order: string[] = []
    const take = (name: string) => turns.take(name).then(() => order.push(name))
    await take('a')
    const waiting = [take('b'), take('c'), take('d')]
    turns.cancel('c')
    await expect(waiting[1]).rejects.toThrow('cancelled')
    turns.release('d')
    expect(order).toEqual(['a'])
    turns.release('a')
    await waiting[0]
    turns.release('b')
    await waiting[2]
    expect(order).toEqual(['a', 'b', 'd'])
  })
})

describe('JSON values', () => {
  const element = fc.oneof(fc.constant(null), fc.string())
  const quote = (text: string) => `"${text.replace(/[\\"]/g, (character) => `\\${character}`)}"`
  const literal = (list: readonly unknown[]): string =>
    `{${list.map((item) => (Array.isArray(item) ? literal(item) : item === null ? 'NULL' : quote(String(item)))).join(',')}}`

  it('come back from any array literal', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(element, fc.array(element))), (list) => {
        expect(parseArray(literal(list), (text) => text)).toEqual(list)
      }),
    )
  })

  it('never fail on text that is no array literal', () => {
    fc.assert(fc.property(fc.string(), (text) => Array.isArray(parseArray(text, (part) => part))))
  })

  it.each([
    [16, 't', true],
    [23, '-5', -5],
    [20, '5', '5'],
    [701, 'Infinity', 'Infinity'],
    [114, '{"a":[1]}', { a: [1] }],
    [1007, '[0:1]={1,NULL}', [1, null]],
    [1000, '{t,f}', [true, false]],
    [1184, '2024-01-01 00:00:00+00', '2024-01-01 00:00:00+00'],
  ])('of type %i turn %s into %j', (type, text, value) => {
    expect(toJsonValue(type, text)).toEqual(value)
  })
})
