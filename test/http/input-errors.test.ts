import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { inputError, paramOf, pointerOf } from '../../src/http/input-errors.ts'

function told(schema: z.ZodType, value: unknown, place: 'body' | 'query' = 'body') {
  const parsed = schema.safeParse(value)
  if (parsed.success) throw new Error('the value fits')
  const { message, param, status, fields } = inputError({ place, issues: parsed.error.issues }, 'openai')
  return { message, param, status, fields }
}

const Part = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('text'), text: z.string() }),
  z.strictObject({ type: z.literal('image'), url: z.url() }),
])
const Chat = z.looseObject({
  model: z.string().min(1),
  messages: z
    .array(z.looseObject({ role: z.enum(['user', 'system']), content: z.union([z.string(), z.array(Part)]) }))
    .min(1),
  temperature: z.number().min(0).max(2).optional(),
})
const message = { role: 'user', content: 'a' }

describe('what a caller is told of a broken rule', () => {
  it.each<[string, unknown, string, string | undefined]>([
    ['a missing field', { messages: [message] }, 'model: required, expected string', 'model'],
    ['a wrong type', { model: 1, messages: [message] }, 'model: expected string, received number', 'model'],
    [
      'a wrong range',
      { model: 'm', messages: [message], temperature: 3 },
      'temperature: Too big: expected number to be <=2',
      'temperature',
    ],
    [
      'a wrong word',
      { model: 'm', messages: [{ ...message, role: 'me' }] },
      'messages[0].role: expected one of "user"|"system"',
      'messages[0].role',
    ],
    [
      'none of the types',
      { model: 'm', messages: [{ ...message, content: 1 }] },
      'messages[0].content: expected string or array',
      'messages[0].content',
    ],
    [
      'the part that was meant',
      { model: 'm', messages: [{ ...message, content: [{ type: 'text' }] }] },
      'messages[0].content[0].text: required, expected string',
      'messages[0].content[0].text',
    ],
    [
      'an unknown field deep inside',
      { model: 'm', messages: [{ ...message, content: [{ type: 'text', text: '', x: 1 }] }] },
      'messages[0].content[0].x: unknown field',
      'messages[0].content[0].x',
    ],
    ['the whole body', [], 'body: expected object, received array', undefined],
    ['several', { messages: [] }, 'model: required, expected string (and 1 more)', 'model'],
  ])('names the place and the rule of %s', (_name, body, text, param) => {
    expect(told(Chat, body)).toMatchObject({ message: text, param, status: 400 })
  })

  it.each<[string, z.ZodType, unknown, string]>([
    ['a fraction', z.int(), 1.5, 'n: expected a whole number'],
    ['text in the place of a number', z.coerce.number(), 'x', 'n: expected number'],
    [
      'a word that is none of them',
      z.union([z.int(), z.enum(['day', 'month'])]),
      'week',
      'n: expected number or "day" or "month"',
    ],
    ['a missing word', z.enum(['day', 'month']), undefined, 'n: expected one of "day"|"month"'],
  ])('says it of %s in plain words', (_name, schema, value, text) => {
    expect(told(z.object({ n: schema }), { n: value }).message).toBe(text)
  })

  it('names the fields of which one is needed', () => {
    const either = z.union([z.object({ messages: z.array(z.string()) }), z.object({ features: z.object({}) })])
    expect(told(either, { model: 'm' })).toMatchObject({
      message: 'body: needs messages or features',
      param: undefined,
    })
    expect(told(z.object({ n: z.union([z.object({ a: z.object({}) }), z.array(z.string())]) }), { n: 1 }).message).toBe(
      'n: expected object or array',
    )
  })

  it('lists every field with its pointer, up to twenty', () => {
    expect(told(Chat, { messages: [{ role: 'user' }] }).fields).toEqual([
      { pointer: '/model', detail: 'required, expected string' },
      { pointer: '/messages/0/content', detail: 'expected string or array' },
    ])
    const many = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`f${i}`, i]))
    const { fields, message: text } = told(z.strictObject({}), many)
    expect(fields).toHaveLength(20)
    expect(text).toBe('f0: unknown field (and 29 more)')
  })

  it('never repeats the value', () => {
    const { message: text, fields } = told(z.object({ email: z.email(), n: z.literal(1) }), {
      email: 'secret',
      n: 'hidden',
    })
    expect(text + JSON.stringify(fields)).not.toMatch(/secret|hidden/)
  })

  it('names parameters of the query plainly', () => {
    const { message: text, fields } = told(
      z.strictObject({ limit: z.coerce.number().max(100) }),
      { limit: '101' },
      'query',
    )
    expect(text).toMatch(/^limit: /)
    expect(fields[0]?.pointer).toBe('limit')
  })

  it('is 422 in the dialect of problems and 404 for a path', () => {
    const issues = z.string().safeParse(1).error?.issues ?? []
    expect(inputError({ place: 'body', issues }, 'problem')).toMatchObject({ code: 'invalid_request', status: 422 })
    expect(inputError({ place: 'params', issues }, 'openai')).toMatchObject({ code: 'not_found', status: 404 })
  })
})

it('a place is written as OpenAI does and as a JSON pointer', () => {
  expect(paramOf(['messages', 0, 'content', 2, 'a'])).toBe('messages[0].content[2].a')
  expect(paramOf([0, 'a'])).toBe('[0].a')
  expect(pointerOf(['a/b', 0, 'c~d'])).toBe('/a~1b/0/c~0d')
  expect(pointerOf([])).toBe('')
})
