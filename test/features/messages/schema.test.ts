import { describe, expect, it } from 'vitest'
import { MessagesRequest } from '../../../src/features/messages/schema.ts'

const hello = { role: 'user', content: 'Hi' }
const user = (...content: unknown[]) => ({ role: 'user', content })
const assistant = (...content: unknown[]) => ({ role: 'assistant', content })

describe('a wrong body', () => {
  it.each<[Record<string, unknown>, string]>([
    [{ max_tokens: undefined }, 'max_tokens'],
    [{ max_tokens: -1 }, 'max_tokens'],
    [{ messages: [] }, 'messages'],
    [{ messages: [{ role: 'tool', content: 'x' }] }, 'messages.0.role'],
    [{ messages: [user({ text: 'x' })] }, 'messages.0.content.0.type'],
    [{ messages: [user({ type: 'text' })] }, 'messages.0.content.0.text'],
    [{ messages: [user({ type: 'tool_result' })] }, 'messages.0.content.0.tool_use_id'],
    [{ messages: [user({ type: 'tool_result', tool_use_id: 'a', content: 4 })] }, 'messages.0.content.0.content'],
    [{ messages: [user({ type: 'tool_result', tool_use_id: 'a', content: [{}] })] }, 'messages.0.content.0.content.0'],
    [{ messages: [assistant({ type: 'tool_use', id: 'a' })] }, 'messages.0.content.0.name'],
    [{ messages: [user({ type: 'image' })] }, 'messages.0.content.0.source'],
    [{ temperature: 1.5 }, 'temperature'],
    [{ tool_choice: { type: 'maybe' } }, 'tool_choice.type'],
    [{ inference_geo: 'us' }, 'inference_geo'],
    [{ speed: 'fast', helix: { strict: true } }, 'speed'],
    [{ helix: { mode: 'fast' } }, 'helix'],
  ])('%j is refused at %s', (fields, place) => {
    const parsed = MessagesRequest.safeParse({ model: 'm', max_tokens: 100, messages: [hello], ...fields })
    const issues = parsed.error?.issues ?? []
    const paths = issues.flatMap((issue) =>
      issue.code === 'invalid_union'
        ? issue.errors.flat().map((inner) => [...issue.path, ...inner.path].join('.'))
        : [issue.path.join('.')],
    )
    expect(paths).toContain(place)
  })
})
