import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonical, fingerprintOf } from '../../../src/features/idempotency/fingerprint.ts'

const call = { key: 'a', route: 'POST /v1/x', body: { one: 1, two: [{ b: 1, a: 2 }] } }

/** The same value with the fields of every object in another order. */
function turned(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(turned)
  if (typeof value !== 'object' || value === null) return value
  const fields = Object.entries(value).map(([name, field]) => [name, turned(field)] as const)
  return Object.fromEntries(fields.reverse())
}

describe('the fingerprint of a call', () => {
  it('does not depend on the order of fields', async () => {
    expect(await fingerprintOf('key_1', { ...call, body: turned(call.body) })).toEqual(
      await fingerprintOf('key_1', call),
    )
    fc.assert(fc.property(fc.jsonValue(), (value) => canonical(turned(value)) === canonical(value)))
  })

  it('is of the value, whole', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (left, right) => {
        const isSame = JSON.stringify(sorted(left)) === JSON.stringify(sorted(right))
        expect(canonical(left) === canonical(right)).toBe(isSame)
      }),
    )
    fc.assert(fc.property(fc.jsonValue(), (value) => canonical(JSON.parse(canonical(value))) === canonical(value)))
    expect(canonical({ a: undefined, b: [undefined] })).toBe('{"b":[null]}')
    expect(canonical(undefined)).toBe('null')
  })

  it.each([
    ['another credential', 'key_2', {}],
    ['another key', 'key_1', { key: 'b' }],
    ['another path', 'key_1', { route: 'POST /v1/y' }],
    ['the same text cut elsewhere', 'key_1', { key: 'POST /v1/x', route: 'a' }],
  ])('tells %s apart', async (_what, callerId, given) => {
    const [left, right] = [await fingerprintOf('key_1', call), await fingerprintOf(callerId, { ...call, ...given })]
    expect(right.id).not.toBe(left.id)
    expect(right.bodyHash).toBe(left.bodyHash)
  })

  it('tells another body of the same call apart', async () => {
    const [left, right] = [await fingerprintOf('key_1', call), await fingerprintOf('key_1', { ...call, body: {} })]
    expect(right.id).toBe(left.id)
    expect(right.bodyHash).not.toBe(left.bodyHash)
  })

  it('is of the bytes of files, and of where they stand', async () => {
    const hashOf = async (body: unknown) => (await fingerprintOf('key_1', { ...call, body })).bodyHash
    const file = (...bytes: number[]) => ({ filename: 'a', bytes: new Uint8Array(bytes) })
    const hash = await hashOf({ one: file(1), two: file(2) })
    expect(await hashOf({ two: file(2), one: file(1) })).toBe(hash)
    const others = [
      { one: file(2), two: file(1) },
      { one: file(1, 2), two: file() },
      { one: { filename: 'a', bytes: 'bytes1' }, two: file(2) },
    ]
    for (const other of others) expect(await hashOf(other)).not.toBe(hash)
  })
})

/** Fields in order, by way of the runtime's own serialiser. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const names = Object.keys(value).sort()
  return names.map((name) => [name, sorted(Object.getOwnPropertyDescriptor(value, name)?.value)]).concat([['{}', 0]])
}
