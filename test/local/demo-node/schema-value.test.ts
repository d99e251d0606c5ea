import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import * as z from 'zod'
import { textForPattern } from '../../../scripts/local/demo-node/pattern-text.ts'
import { valueForSchema } from '../../../scripts/local/demo-node/schema-value.ts'
import type { JsonObject } from '../../../scripts/local/demo-node/types.ts'

const source = { text: (key: string) => `[demo node] ${key}` }

function problems(schema: JsonObject): unknown {
  const value = valueForSchema(schema, source)
  const result = z.fromJSONSchema(schema).safeParse(value)
  return result.success ? undefined : { schema, value, issues: result.error.issues }
}

const stringSchema = fc.oneof(
  fc
    .tuple(fc.nat(30), fc.nat(30))
    .map(([low, span]): JsonObject => ({ type: 'string', minLength: low, maxLength: low + span })),
  fc
    .constantFrom('date-time', 'date', 'time', 'email', 'uuid', 'ipv4', 'ipv6', 'uri', 'duration')
    .map((format): JsonObject => ({ type: 'string', format })),
  fc
    .constantFrom('^[A-Z]{2}-\\d{3,5}$', '^(foo|bar)+$', '\\w+@\\w+', '^[^a-z]$', '^\\+?[1-9]\\d{1,14}$')
    .map((pattern): JsonObject => ({ type: 'string', pattern })),
)
const numberSchema = fc
  .record({
    type: fc.constantFrom('integer', 'number'),
    low: fc.integer({ min: -1000, max: 1000 }),
    span: fc.integer({ min: 4, max: 500 }),
    step: fc.constantFrom(undefined, 1, 2, 3),
    exclusive: fc.boolean(),
  })
  .map(
    ({ type, low, span, step, exclusive }): JsonObject => ({
      type,
      ...(exclusive ? { exclusiveMinimum: low, exclusiveMaximum: low + span } : { minimum: low, maximum: low + span }),
      ...(step === undefined ? {} : { multipleOf: step }),
    }),
  )
const leaf = fc.oneof(
  stringSchema,
  numberSchema,
  fc.constantFrom<JsonObject>({ type: 'boolean' }, { type: 'null' }, { const: 42 }, { const: 'fixed' }),
  fc
    .uniqueArray(fc.string({ maxLength: 5 }), { minLength: 1, maxLength: 4 })
    .map((values): JsonObject => ({ enum: values })),
)
const propertyName = fc.string({ minLength: 1, maxLength: 6 }).filter((name) => name !== '__proto__')

const { anySchema } = fc.letrec<{ anySchema: JsonObject }>((tie) => ({
  anySchema: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    leaf,
    fc
      .record({ item: tie('anySchema'), low: fc.nat(3), span: fc.nat(3) })
      .map(({ item, low, span }): JsonObject => ({ type: 'array', items: item, minItems: low, maxItems: low + span })),
    fc.tuple(tie('anySchema'), tie('anySchema')).map((anyOf): JsonObject => ({ anyOf })),
    fc.dictionary(propertyName, tie('anySchema'), { maxKeys: 4, noNullPrototype: true }).chain((properties) =>
      fc.subarray(Object.keys(properties)).map(
        (required): JsonObject => ({
          type: 'object',
          properties,
          required,
          additionalProperties: false,
        }),
      ),
    ),
  ),
}))

it('builds a value that validates, for generated schemas', () => {
  fc.assert(
    fc.property(anySchema, (schema) => {
      expect(problems(schema)).toBeUndefined()
    }),
    { numRuns: 500 },
  )
})

it('is deterministic and survives JSON', () => {
  fc.assert(
    fc.property(anySchema, (schema) => {
      const value = valueForSchema(schema, source)
      expect(JSON.parse(JSON.stringify(value))).toEqual(valueForSchema(schema, source))
    }),
    { numRuns: 50 },
  )
})

it('follows references, ends recursive schemas and merges allOf', () => {
  const tree: JsonObject = {
    type: 'object',
    properties: { name: { $ref: '#/$defs/name' }, children: { type: 'array', items: { $ref: '#' } } },
    required: ['name', 'children'],
    $defs: { name: { type: 'string', maxLength: 6 } },
  }
  expect(valueForSchema(tree, source)).toMatchObject({ name: '[demo ', children: [{ name: '[demo ' }] })
  const list: JsonObject = {
    type: 'object',
    properties: { next: { anyOf: [{ $ref: '#' }, { type: 'null' }] } },
    required: ['next'],
  }
  expect(JSON.stringify(valueForSchema(list, source))).toMatch(/^(\{"next":)+null\}+$/)
  const merged = {
    allOf: [{ type: 'integer', minimum: 3 }, { $ref: '#/$defs/even' }],
    $defs: { even: { multipleOf: 4 } },
  }
  expect(valueForSchema(merged, source)).toBe(4)
})

it('honours nullable types, tuples, unique items, minProperties and enum types', () => {
  expect(valueForSchema({ type: ['null', 'string'] }, source)).toBeNull()
  const tuple = { type: 'array', prefixItems: [{ const: 1 }, { type: 'boolean' }], items: false, minItems: 2 }
  expect(valueForSchema(tuple, source)).toEqual([1, true])
  const unique = { type: 'array', items: { type: 'string', maxLength: 4 }, minItems: 3, uniqueItems: true }
  expect(new Set(JSON.parse(JSON.stringify(valueForSchema(unique, source)))).size).toBe(3)
  const uniqueEnum = { type: 'array', items: { enum: ['a', 'b', 'c'] }, minItems: 3, uniqueItems: true }
  expect(valueForSchema(uniqueEnum, source)).toEqual(['a', 'b', 'c'])
  expect(Object.keys(Object(valueForSchema({ type: 'object', minProperties: 2 }, source)))).toHaveLength(2)
  expect(valueForSchema({ type: 'integer', enum: ['x', 7] }, source)).toBe(7)
})

it('keeps a property named __proto__ an own property', () => {
  const schema: JsonObject = JSON.parse('{"type":"object","properties":{"__proto__":{"const":1}}}')
  expect(JSON.stringify(valueForSchema(schema, source))).toBe('{"__proto__":1}')
})

it('takes the next workable branch of a union and refuses what nothing satisfies', () => {
  expect(valueForSchema({ oneOf: [{ minimum: 5, maximum: 1 }, { const: 'ok' }] }, source)).toBe('ok')
  for (const schema of [
    { type: 'number', minimum: 2, maximum: 1 },
    { type: 'string', minLength: 3, maxLength: 1 },
    { $ref: '#/$defs/missing' },
    { $ref: '#' },
    { type: 'object', required: ['a'], additionalProperties: false },
  ]) {
    expect(() => valueForSchema(schema, source), JSON.stringify(schema)).toThrow()
  }
})

it('finds text for patterns within length bounds', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(
        '^a+$',
        '^[a-f0-9]+$',
        '^(ab|c)*$',
        '^\\p{Lu}\\w*$',
        '^(?:x{2,}|y)z?$',
        '^v?\\d+\\.\\d+(-\\w+)?$',
      ),
      fc.nat(12),
      (pattern, minLength) => {
        const text = textForPattern(pattern, minLength, minLength + 12)
        expect(text).toMatch(new RegExp(pattern, 'u'))
        expect(Array.from(text ?? '').length).toBeGreaterThanOrEqual(minLength)
      },
    ),
  )
  expect(textForPattern('foo', 10, 20)).toBe('fooaaaaaaa')
  expect(textForPattern('^ab$', 5, 9)).toBeUndefined()
})
