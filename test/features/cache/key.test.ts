import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonicalJson, digestOf } from '../../../src/features/cache/key.ts'
import { fakePolicy, fakeSettings } from '../../support/fake-deps.ts'
import { count } from '../../support/lane.ts'

/** The same value with the fields of every object in another order, and with fields that are undefined. */
function shuffled(value: unknown, turn: number): unknown {
  if (Array.isArray(value)) return value.map((one) => shuffled(one, turn + 1))
  if (typeof value !== 'object' || value === null) return value
  const fields = Object.entries(value).map(([name, content]) => [name, shuffled(content, turn + 1)] as const)
  const order = turn % 2 === 0 ? fields.reverse() : fields.slice(1).concat(fields.slice(0, 1))
  return Object.defineProperty(Object.fromEntries(order), `none ${turn}`, { value: undefined, enumerable: true })
}

const runs = { numRuns: count(200, 5000) }

describe('canonical JSON', () => {
  it('is the same text for the same value, however its fields are ordered', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.nat(3), (value, turn) => {
        expect(canonicalJson(shuffled(value, turn))).toBe(canonicalJson(value))
      }),
      runs,
    )
  })

  it('is JSON of the same value, so that no two values share it', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)))
      }),
      runs,
    )
  })

  it('orders names as they are, and keeps the order of lists', () => {
    expect(canonicalJson({ b: [2, 1], a: { é: null, e: 'x"y' }, 10: 1, 9: undefined })).toBe(
      '{"10":1,"a":{"e":"x\\"y","é":null},"b":[2,1]}',
    )
    expect(canonicalJson([undefined, { a: undefined }])).toBe('[null,{}]')
  })
})

describe('the digest of a question', () => {
  const question = { model: 'gpt-4o', messages: [{ role: 'user', content: 'Hi' }] }
  const use = { scope: 'key', subject: 'key_1' } as const
  const rules = { strategy: 'priority', targets: [], fallbacks: {} } as const
  const routed = (version: number) => fakePolicy({ routing: { id: 'rpl_1', version, ...rules } })

  it('is another for another organisation, scope, subject, routing policy, version, question or installation', async () => {
    const policy = fakePolicy()
    const digests = await Promise.all([
      digestOf(fakeSettings, policy, { use, question }),
      digestOf(fakeSettings, fakePolicy({ orgId: 'org_2' }), { use, question }),
      digestOf(fakeSettings, policy, { use: { scope: 'user', subject: 'key_1' }, question }),
      digestOf(fakeSettings, policy, { use: { scope: 'key', subject: 'key_2' }, question }),
      digestOf(fakeSettings, routed(1), { use, question }),
      digestOf(fakeSettings, routed(2), { use, question }),
      digestOf(fakeSettings, policy, { use, question: { ...question, seed: 1 } }),
      digestOf({ keyPepper: 'another' }, policy, { use, question }),
    ])
    expect(new Set(digests).size).toBe(digests.length)
    for (const digest of digests) expect(digest).toMatch(/^[\w-]{43}$/)
  })

  it('is the same for whoever asks the same', async () => {
    const [one, other] = [fakePolicy({ keyId: 'key_1' }), fakePolicy({ keyId: 'key_2' })]
    const share = { use: { scope: 'org', subject: 'org_1' }, question } as const
    expect(await digestOf(fakeSettings, one, share)).toBe(await digestOf(fakeSettings, other, share))
  })
})
