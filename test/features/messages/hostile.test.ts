import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { messagesRequest } from '../../../src/adapters/providers/anthropic-request.ts'
import { geminiChatRequest } from '../../../src/adapters/providers/gemini-request.ts'
import { ollamaChatRequest } from '../../../src/adapters/providers/ollama-request.ts'
import { openAiChatRequest } from '../../../src/adapters/providers/openai-request.ts'
import { type ChatCall, UpstreamError } from '../../../src/core/models.ts'
import { estimateTokens } from '../../../src/core/tokens.ts'
import { vendorCatalog } from '../../../src/core/vendors.ts'
import { estimatedPrompt, expectedTokens, inputBound } from '../../../src/features/completions/request.ts'
import { askedOfMessages } from '../../../src/features/messages/request.ts'
import { MessagesRequest } from '../../../src/features/messages/schema.ts'
import { callOf } from '../../adapters/providers/support.ts'
import { count } from '../../support/lane.ts'
import { targetOf } from '../completions/world.ts'

const runs = count(150, 20_000)
const types = [
  'text',
  'image',
  'document',
  'search_result',
  'thinking',
  'redacted_thinking',
  'tool_use',
  'tool_result',
  'odd',
]
const anything = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.string({ maxLength: 6 }))
const word = fc.string({ maxLength: 6 })

/** Blocks within blocks: nobody has looked at more of them than their type. */
const inner = fc.record(
  {
    type: fc.constantFrom(...types),
    text: anything,
    source: anything,
    title: anything,
    content: anything,
    cache_control: anything,
  },
  { requiredKeys: ['type'] },
)
const content = fc.oneof(word, fc.array(inner, { maxLength: 3 }))
const source = fc.record(
  {
    type: fc.constantFrom('base64', 'url', 'text', 'content', 'file', 'odd'),
    media_type: word,
    data: word,
    url: word,
    content,
    file_id: anything,
  },
  { requiredKeys: ['type'] },
)

/** A block that the schema lets pass, with anything where it does not look. */
const block = fc.record(
  {
    type: fc.constantFrom(...types),
    text: word,
    source,
    title: fc.oneof(word, fc.constant(null)),
    content,
    thinking: word,
    signature: word,
    data: word,
    id: word,
    name: word,
    tool_use_id: word,
    input: anything,
    cache_control: fc.constantFrom({ type: 'ephemeral' }, null),
    citations: anything,
    extra_content: anything,
    is_error: fc.boolean(),
  },
  { requiredKeys: ['type', 'text', 'source', 'content', 'thinking', 'data', 'id', 'name', 'tool_use_id'] },
)
const role = fc.constantFrom('user', 'assistant', 'system')
const tool = fc.record(
  {
    name: fc.string({ minLength: 1 }),
    type: fc.constantFrom('custom', 'bash_20250124', 'web_search_20250305'),
    input_schema: fc.dictionary(word, anything),
    odd: anything,
  },
  { requiredKeys: ['name'] },
)

const request = fc.record(
  {
    model: fc.constant('gpt-4o'),
    max_tokens: fc.constant(50),
    messages: fc.array(fc.record({ role, content: fc.oneof(word, fc.array(block, { maxLength: 3 })) }), {
      minLength: 1,
      maxLength: 3,
    }),
    system: fc.oneof(
      word,
      fc.array(fc.record({ type: fc.constantFrom(...types), text: word, source: anything }), { maxLength: 2 }),
    ),
    tools: fc.array(tool, { maxLength: 2 }),
    tool_choice: fc.record({ type: fc.constantFrom('auto', 'any', 'tool', 'none'), name: word }),
    odd_field: anything,
  },
  { requiredKeys: ['model', 'max_tokens', 'messages'] },
)

const quirks = vendorCatalog.find(({ name }) => name === 'mistral')?.quirks

/** What each wire makes of a body; a body that it cannot take is refused in the words of its caller. */
const wires: ((call: ChatCall) => unknown)[] = [
  (call) => quirks && openAiChatRequest(call, quirks),
  (call) => ollamaChatRequest(call, undefined),
  geminiChatRequest,
  (call) => messagesRequest(call, () => undefined),
]

describe('whatever comes in a body', () => {
  it('is refused by its schema, or translated, measured and understood by every wire', () => {
    let translated = 0
    fc.assert(
      fc.property(request, (body) => {
        const parsed = MessagesRequest.safeParse(JSON.parse(JSON.stringify(body)))
        if (!parsed.success) return
        translated += 1
        const asked = askedOfMessages(parsed.data)
        expect(Number.isFinite(expectedTokens(asked) + estimatedPrompt(asked, estimateTokens))).toBe(true)
        inputBound(asked, targetOf('openai', 'gpt-4o'))
        for (const wire of wires) {
          try {
            wire(callOf(asked.body))
          } catch (error) {
            if (!(error instanceof UpstreamError) || error.status !== 400) throw error
          }
        }
      }),
      { numRuns: runs },
    )
    expect(translated).toBeGreaterThan(runs / 2)
  })
})
