import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { etagOf, isSameEtag } from '../../src/http/etag.ts'
import { PageQuery, toPage } from '../../src/http/page.ts'
import { sseComment, sseData } from '../../src/http/sse.ts'

describe('a page', () => {
  const rows = ['a', 'b', 'c'].map((id) => ({ id }))

  it('shows as many rows as were asked for and whether there are more', () => {
    expect(toPage(rows, 2)).toEqual({
      object: 'list',
      data: [{ id: 'a' }, { id: 'b' }],
      first_id: 'a',
      last_id: 'b',
      has_more: true,
    })
    expect(toPage(rows, 3)).toMatchObject({ last_id: 'c', has_more: false })
    expect(toPage([], 3)).toEqual({ object: 'list', data: [], first_id: null, last_id: null, has_more: false })
  })

  it('is asked for with defaults and limits', () => {
    expect(PageQuery.parse({})).toEqual({ limit: 20, order: 'desc' })
    expect(PageQuery.parse({ limit: '100', order: 'asc', after: 'key_1' })).toEqual({
      limit: 100,
      order: 'asc',
      after: 'key_1',
    })
    for (const query of [{ limit: '0' }, { limit: '101' }, { limit: '1.5' }, { limit: '' }, { limit: ['1', '2'] }]) {
      expect(PageQuery.safeParse(query).success).toBe(false)
    }
    expect(PageQuery.safeParse({ offset: '3' }).success).toBe(false)
  })
})

/** What a client makes of a stream of events: WHATWG's rules for `data` and comments. */
function eventsOf(stream: string): string[] {
  return stream
    .split('\n\n')
    .map((block) => block.split('\n').filter((line) => line.startsWith('data: ')))
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.map((line) => line.slice(6)).join('\n'))
}

describe('an event', () => {
  it('carries any text to the client, whatever its line ends', () => {
    const text = fc.string({ unit: fc.constantFrom('a', '\n', '\r', 'data: ', ':', ' ', 'é') })
    fc.assert(
      fc.property(fc.array(text), (texts) => {
        const stream = texts.map((item) => sseData(item) + sseComment(item)).join('')
        expect(eventsOf(stream)).toEqual(texts.map((item) => item.replaceAll(/\r\n|\r/g, '\n')))
      }),
    )
  })

  it('of one line is one field', () => {
    expect(sseData('{"a":1}')).toBe('data: {"a":1}\n\n')
    expect(sseComment('keep-alive')).toBe(': keep-alive\n\n')
  })
})

describe('an entity tag', () => {
  it('is found in a list, weak or strong', async () => {
    const tag = await etagOf('text')
    expect(tag).toMatch(/^"[0-9a-f]{32}"$/)
    expect(await etagOf('text ')).not.toBe(tag)
    for (const header of [tag, `W/${tag}`, `"x", ${tag}`, '*']) expect(isSameEtag(header, tag)).toBe(true)
    for (const header of [null, '', '"x"', tag.slice(1, -1)]) expect(isSameEtag(header, tag)).toBe(false)
  })
})
