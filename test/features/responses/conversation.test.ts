import { describe, expect, it } from 'vitest'
import { namedItems } from '../../../src/features/responses/conversation.ts'
import { itemsAfter } from '../../../src/features/responses/store.ts'

describe('the items of a response', () => {
  it('are each listed once, also where their caller gave several the same id', () => {
    const responseId = `resp_${'0'.repeat(26)}`
    const own = ['a', 'b', 'c', 'd'].map((content) => ({ id: 'msg_same', role: 'user' as const, content }))
    const input = namedItems(responseId, own)
    const listed: unknown[] = []
    let after: string | undefined
    for (let pages = 0; pages < own.length; pages++) {
      const [item] = itemsAfter({ input }, { order: 'asc', after, limit: 1 })
      listed.push(item?.content)
      after = item?.id
    }
    expect(listed).toEqual(own.map(({ content }) => [{ type: 'input_text', text: content }]))
    expect(itemsAfter({ input }, { order: 'asc', after, limit: 1 })).toEqual([])
    expect(input[0]?.id).toBe('msg_same')
  })
})
