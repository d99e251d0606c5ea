import { randomInt } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { DependencyError } from '../../../src/core/errors.ts'
import { createMemory } from '../../../src/core/memory.ts'
import type { CacheScope } from '../../../src/core/routing.ts'
import { cacheAsk, findKept, keepAnswer, slotFor } from '../../../src/features/cache/service.ts'
import { fakePolicy } from '../../support/fake-deps.ts'
import { count } from '../../support/lane.ts'
import { isolate, kept, learnDataKeys, use } from './world.ts'

const question = { model: 'gpt-4o', messages: [{ role: 'user', content: 'Hi' }] }
const about = { keyId: 'key_1', askedModel: 'gpt-4o' }
const policy = fakePolicy()

/** An answer that was kept by one isolate, as Redis would bring it to another with the same keys. */
async function keptOne(answer = kept('Hello there')) {
  const writer = await isolate()
  const slot = await slotFor(writer.deps, policy, { use: use(), question })
  await keepAnswer(writer.ctx(), slot, answer, about)
  const { s: stamp = '', v: value } = writer.written()
  const { memory } = writer
  const reader = await isolate({ memory: { ...createMemory(), dataKeys: memory.dataKeys } })
  return { writer, reader, slot, cached: { stamp, value } }
}

describe('an answer that is kept', () => {
  it('is written once with everything that it can be removed by, and nothing of what was said in plain words', async () => {
    const { writer, slot } = await keptOne()
    const [run] = writer.runs
    expect(writer.runs).toHaveLength(1)
    expect(run?.keys).toEqual([slot.key, 'org_1:ans', 'org_1:ans:due'])
    expect(run?.args.slice(1, 3)).toEqual(['60000', '10000'])
    expect(writer.written()).toMatchObject({ sc: 'key', k: 'key_1', m: 'gpt-4o', t: 'openai/gpt-4o', g: ' docs ' })
    expect(JSON.stringify(writer.runs)).not.toContain('Hello')
  })

  it('is opened once by an isolate, which needs only its stamp from then on', async () => {
    const { reader, slot, cached } = await keptOne()
    expect(cacheAsk(reader.deps, slot).held).toBeUndefined()
    expect(await findKept(reader.ctx(cached), slot)).toEqual(kept('Hello there'))
    expect(cacheAsk(reader.deps, slot)).toEqual({ key: slot.key, index: 'org_1:ans', held: cached.stamp })
    expect(await findKept(reader.ctx({ stamp: cached.stamp, value: undefined }), slot)).toEqual(kept('Hello there'))
  })

  it('is known to the isolate that wrote it', async () => {
    const { writer, slot, cached } = await keptOne()
    expect(cacheAsk(writer.deps, slot).held).toBe(cached.stamp)
    expect(await findKept(writer.ctx({ stamp: cached.stamp, value: undefined }), slot)).toEqual(kept('Hello there'))
  })

  it('is none once Redis has none or another, whatever the isolate remembers', async () => {
    const { writer, slot } = await keptOne()
    expect(await findKept(writer.ctx(undefined), slot)).toBeUndefined()
    expect(await findKept(writer.ctx({ stamp: 'another', value: undefined }), slot)).toBeUndefined()
  })

  it('is remembered for five minutes', async () => {
    const { writer, slot, cached } = await keptOne()
    writer.pass(299_999)
    expect(cacheAsk(writer.deps, slot).held).toBe(cached.stamp)
    writer.pass(1)
    expect(cacheAsk(writer.deps, slot).held).toBeUndefined()
    expect(writer.memory.answers.size).toBe(0)
  })

  it('is remembered among a thousand, and among eight megabytes; what was used longest ago goes first', async () => {
    const writer = await isolate()
    const keepAt = async (name: string, text: string) => {
      const slot = await slotFor(writer.deps, policy, { use: use(), question: name })
      await keepAnswer(writer.ctx(), slot, kept(text), about)
      return slot
    }
    const first = await keepAt('first', 'x')
    const second = await keepAt('second', 'x')
    for (let at = 2; at < 1000; at++) await keepAt(String(at), 'x')
    const held = cacheAsk(writer.deps, first).held
    expect(await findKept(writer.ctx({ stamp: held ?? '', value: undefined }), first)).toBeDefined()
    await keepAt('one more', 'x')
    expect(writer.memory.answers.size).toBe(1000)
    expect(cacheAsk(writer.deps, first).held).toBe(held)
    expect(cacheAsk(writer.deps, second).held).toBeUndefined()
    for (let at = 0; at < 8; at++) await keepAt(`large ${at}`, 'x'.repeat(900_000))
    expect(writer.memory.answers.size).toBe(4)
  })

  it('is not kept when it is longer than a megabyte', async () => {
    const writer = await isolate()
    const slot = await slotFor(writer.deps, policy, { use: use(), question })
    await keepAnswer(writer.ctx(), slot, kept('é'.repeat(500_000)), about)
    expect(writer.runs).toEqual([])
    await keepAnswer(writer.ctx(), slot, kept('é'.repeat(499_000)), about)
    expect(writer.runs).toHaveLength(1)
  })

  it('is forgotten where Redis did not take it', async () => {
    const writer = await isolate()
    const slot = await slotFor(writer.deps, policy, { use: use(), question })
    const ctx = writer.ctx()
    const away = { ...ctx.redis, run: () => Promise.reject(new DependencyError('redis', new Error('away'))) }
    await keepAnswer({ ...ctx, redis: away }, slot, kept('Hello'), about)
    expect(writer.memory.answers.size).toBe(0)
    expect(writer.log).toMatchObject([{ level: 'warn', event: 'answer_not_kept' }])
  })
})

describe('an answer that does not open', () => {
  it.each([
    ['is damaged', (value: string) => `${value.slice(0, -8)}AAAAAAAA`],
    ['is no sealed text', () => 'nonsense'],
    ['is cut off', (value: string) => value.slice(0, 60)],
  ])('is none when it %s, and nobody gets an error', async (_how, spoil) => {
    const { reader, slot, cached } = await keptOne()
    const spoiled = { stamp: cached.stamp, value: spoil(cached.value ?? '') }
    expect(await findKept(reader.ctx(spoiled), slot)).toBeUndefined()
    expect(reader.log).toMatchObject([{ event: 'answer_not_opened' }])
    expect(reader.memory.answers.size).toBe(0)
  })

  it('is none when its data key is gone, or the store that has it', async () => {
    const { slot, cached } = await keptOne()
    const { ctx, log } = await isolate({ orgIds: ['org_other'] })
    const db = { ...ctx().db, atomically: () => Promise.reject(new DependencyError('postgres', new Error('away'))) }
    expect(await findKept({ ...ctx(cached), db }, slot)).toBeUndefined()
    await expect.poll(() => log).toMatchObject([{ event: 'answer_not_opened' }])
  })

  it('is none when another release means something else by it', async () => {
    const writer = await isolate()
    const slot = await slotFor(writer.deps, policy, { use: use(), question })
    writer.memory.answers.set(slot.key, {
      stamp: 'stamp',
      text: JSON.stringify({ ...kept('Hello'), format: 2 }),
      untilMs: Number.MAX_SAFE_INTEGER,
    })
    expect(await findKept(writer.ctx({ stamp: 'stamp', value: undefined }), slot)).toBeUndefined()
  })
})

describe('the look-up of anybody else', () => {
  const orgs = ['org_1', 'org_2', 'org_3']
  const scopes: CacheScope[] = ['key', 'user', 'org']
  const some = <T>(values: readonly T[]): T => values[randomInt(values.length)] ?? (values[0] as T)

  /** A caller of any organisation, by any of its keys and people; subjects of different kinds may have one name. */
  function caller() {
    const orgId = some(orgs)
    const scope = some(scopes)
    const subject = scope === 'org' ? orgId : some(['one', 'two', 'three'])
    return { policy: fakePolicy({ orgId }), use: use({ scope, subject }), name: `${orgId} ${scope} ${subject}` }
  }

  it('finds nothing and opens nothing, even where the answer lies under the key that was looked for', async () => {
    const memory = createMemory()
    await learnDataKeys(memory, orgs, 1_700_000_000_000)
    const owner = await isolate({ memory })
    let [permuted, plain, shared] = [0, 0, 0]
    while (permuted < count(200, 10_000)) {
      const [one, other] = [caller(), caller()]
      const mine = await slotFor(owner.deps, one.policy, { use: one.use, question })
      const theirs = await slotFor(owner.deps, other.policy, { use: other.use, question })
      await keepAnswer(owner.ctx(), mine, kept(`for ${one.name}`), about)
      const { s: stamp = '', v: value } = owner.written()
      const reader = await isolate({ memory: { ...createMemory(), dataKeys: memory.dataKeys } })
      if (one.name === other.name) {
        shared += 1
        expect(await findKept(reader.ctx({ stamp, value }), theirs)).toEqual(kept(`for ${one.name}`))
        continue
      }
      permuted += 1
      expect(theirs.key).not.toBe(mine.key)
      if ((await findKept(reader.ctx({ stamp, value }), theirs)) !== undefined) plain += 1
    }
    expect(plain).toBe(0)
    expect(shared).toBeGreaterThan(0)
  })
})
