import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createLineReader } from '../../../src/adapters/providers/ndjson.ts'
import { createSseReader, type SseEvent } from '../../../src/adapters/providers/sse.ts'
import { UpstreamError } from '../../../src/core/models.ts'

const bytesOf = (text: string) => new TextEncoder().encode(text)

function read(...pieces: (string | Uint8Array)[]): { events: SseEvent[]; rest: SseEvent | undefined } {
  const reader = createSseReader()
  const events = pieces.flatMap((piece) => reader.push(typeof piece === 'string' ? bytesOf(piece) : piece))
  return { events, rest: reader.end() }
}

const dataOf = (text: string) => read(text).events.map((event) => event.data)

describe('the event reader', () => {
  it('ends lines at LF, CRLF and CR', () => {
    expect(dataOf('data: a\n\ndata: b\r\n\r\ndata: c\r\rdata: d\n\r\n')).toEqual(['a', 'b', 'c', 'd'])
  })

  it('takes a CRLF that two chunks share for one line end', () => {
    expect(read('data: a\r', '\ndata: b\r\n\r', '\n').events).toEqual([{ name: 'message', data: 'a\nb' }])
  })

  it('joins data lines, drops one space after the colon and keeps the others', () => {
    expect(dataOf('data:a\ndata:  b\ndata\ndata: \n\n')).toEqual(['a\n b\n'])
  })

  it('names an event, for that event only', () => {
    expect(read('event: error\ndata: x\n\ndata: y\n\n').events).toEqual([
      { name: 'error', data: 'x' },
      { name: 'message', data: 'y' },
    ])
  })

  it('skips comments, ids, retries, unknown fields and events without data', () => {
    expect(dataOf(': hello\n\nid: 4\nretry: 10\nwhat: ever\n\nevent: ping\n\ndata: a\n\n')).toEqual(['a'])
  })

  it('drops a byte order mark', () => {
    expect(read(Uint8Array.of(0xef), Uint8Array.of(0xbb, 0xbf), 'data: a\n\n').events).toHaveLength(1)
  })

  it('hands out what stood at the end without a blank line', () => {
    expect(read('data: a\n\ndata: b').rest).toEqual({ name: 'message', data: 'b' })
    expect(read('data: a\n\ndata: b\n').rest).toEqual({ name: 'message', data: 'b' })
    expect(read('data: a\n\n').rest).toBeUndefined()
  })

  it('refuses a line without end and an event without end', () => {
    const megabyte = bytesOf('x'.repeat(1024 * 1024))
    const line = createSseReader()
    expect(() => {
      for (let count = 0; count < 9; count++) line.push(megabyte)
    }).toThrow(UpstreamError)
    const event = createSseReader()
    const text = bytesOf(`data: ${'x'.repeat(1024 * 1024)}\n`)
    expect(() => {
      for (let count = 0; count < 9; count++) event.push(text)
    }).toThrow(UpstreamError)
  })

  it('reads a long line in small pieces in linear time', () => {
    const reader = createSseReader()
    const piece = bytesOf('x'.repeat(64))
    reader.push(bytesOf('data: '))
    for (let count = 0; count < 100_000; count++) reader.push(piece)
    expect(reader.push(bytesOf('\n\n'))[0]?.data).toHaveLength(6_400_000)
  })

  it('gives the same events for any split and any line ends', () => {
    const field = fc.constantFrom('data: {"a":"ü😀"}', 'data:', 'event: e', ': c', 'id: 1', '', '', 'data: x y')
    const ending = fc.constantFrom('\n', '\r\n', '\r')
    const document = fc.array(fc.tuple(field, ending), { maxLength: 30 }).map((lines) => lines.flat().join(''))
    fc.assert(
      fc.property(document, fc.array(fc.nat(400), { maxLength: 12 }), (text, places) => {
        const bytes = bytesOf(text)
        const edges = [0, ...places.filter((place) => place < bytes.length).sort((a, b) => a - b), bytes.length]
        const pieces = edges.slice(1).map((edge, position) => bytes.subarray(edges[position], edge))
        expect(read(...pieces)).toEqual(read(bytes))
      }),
      { numRuns: 300 },
    )
  })
})

describe('the line reader', () => {
  it('gives whole lines, skips blank ones and keeps the last', () => {
    const reader = createLineReader()
    expect(reader.push(bytesOf('{"a":1}\n\n \r\n{"b"'))).toEqual(['{"a":1}'])
    expect(reader.push(bytesOf(':2}\r\n{"c"'))).toEqual(['{"b":2}\r'])
    expect(reader.end()).toBe('{"c"')
    expect(createLineReader().end()).toBeUndefined()
  })

  it('refuses a line without end', () => {
    const reader = createLineReader()
    const megabyte = bytesOf('x'.repeat(1024 * 1024))
    expect(() => {
      for (let count = 0; count < 9; count++) reader.push(megabyte)
    }).toThrow(UpstreamError)
  })
})
