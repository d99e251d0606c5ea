import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { jsonIn } from '../../../src/features/calls/json-text.ts'
import { responseFormat } from '../../../src/features/calls/wire-schema.ts'
import { count } from '../../support/lane.ts'

const object = fc.dictionary(fc.string(), fc.jsonValue())

describe('the JSON in an answer', () => {
  it('is found whole, fenced, and with text around it', () => {
    const around = fc.string().filter((text) => !/[{}`"]/.test(text))
    fc.assert(
      fc.property(object, around, around, (value, before, behind) => {
        const text = JSON.stringify(value)
        for (const answer of [text, `\n ${text} \n`, `\`\`\`json\n${text}\n\`\`\``, `\`\`\`\n${text}\n\`\`\``]) {
          expect(JSON.stringify(jsonIn(answer)?.value)).toBe(text)
        }
        expect(JSON.stringify(jsonIn(`${before} ${text}\n${behind}`)?.value)).toBe(text)
      }),
      { numRuns: count(100, 5000) },
    )
  })

  it.each([
    ['braces in words before it', 'The set {a, b}: {"a":1}', { a: 1 }],
    ['empty lines in a fence', '```json  \n\n\n{"a":1}\n\n```', { a: 1 }],
    ['a fence within text', 'Here:\n```json\n{"a":"}"}\n```\nDone.', { a: '}' }],
    ['quotes in a string', 'x {"a":"say \\"{\\""} y', { a: 'say "{"' }],
  ])('is found with %s', (_name, text, value) => {
    expect(jsonIn(text)).toEqual({ value })
  })

  it.each([
    ['nothing', ''],
    ['a fence of empty lines', `\`\`\`${'\n'.repeat(500_000)}x`],
    ['words', 'I cannot.'],
    ['half an object', '{"a":1'],
    ['an object within a broken one', '{"a":{"b":1},}'],
    ['an object within half of one', '{"a":{"b":1}'],
    ['two objects', '{"a":1} {"a":2}'],
    ['single quotes', "{'a':1}"],
    ['a comma too many', '{"a":1,}'],
  ])('is not there in %s', (_name, text) => {
    expect(jsonIn(text)).toBeUndefined()
  })

  it('takes no time to speak of in a text that is nothing but braces', () => {
    expect(jsonIn('{'.repeat(2_000_000))).toBeUndefined()
    expect(jsonIn('{}x'.repeat(200_000))).toBeUndefined()
  })
})

describe('the format that is asked for', () => {
  const told = (schema: z.ZodType) => responseFormat('x', schema).json_schema

  it('is strict where every field is always there', () => {
    const inner = z.object({ kind: z.enum(['a', 'b']), note: z.string().nullable() })
    expect(told(z.object({ list: z.array(inner) }))).toMatchObject({
      strict: true,
      schema: { properties: { list: { items: { additionalProperties: false, required: ['kind', 'note'] } } } },
    })
  })

  it.each([
    ['a field that may be missing', z.object({ a: z.string(), b: z.string().optional() })],
    ['fields of any name', z.object({ a: z.record(z.string(), z.number()) })],
    ['one of these deep inside', z.object({ a: z.array(z.object({ b: z.string().default('x') })) })],
  ])('is not strict with %s', (_name, schema) => {
    expect(told(schema)).toMatchObject({ strict: false })
  })

  it('keeps fields that are called like a word of the schema', () => {
    const schema = z.object({ minLength: z.string().max(3), properties: z.int(), default: z.boolean() })
    expect(told(schema)).toMatchObject({
      strict: true,
      schema: {
        properties: { minLength: { type: 'string' }, properties: { type: 'integer' }, default: { type: 'boolean' } },
      },
    })
    expect(JSON.stringify(told(schema))).not.toContain('9007199254740991')
  })
})
