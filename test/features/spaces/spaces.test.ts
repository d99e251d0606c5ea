import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { insert } from '../../../scripts/seed.ts'
import type { Ctx } from '../../../src/core/context.ts'
import { newId } from '../../../src/core/ids.ts'
import {
  nearest,
  removeVectors,
  type Space,
  spaceFor,
  spacesOf,
  storeVectors,
  unitVector,
} from '../../../src/features/spaces/service.ts'
import { count } from '../../support/lane.ts'
import { type MigratedPostgres, startMigratedPostgres } from '../../support/migrated-postgres.ts'

/** The whole counts take their time. */
const PATIENCE_MS = count(60_000, 900_000)

let postgres: MigratedPostgres

beforeAll(async () => {
  postgres = await startMigratedPostgres()
})
afterAll(() => postgres?.close())

type World = Pick<Ctx, 'db' | 'caller' | 'now' | 'newId'>

async function worldOf(): Promise<World> {
  const { orgId, keyId } = await insert(postgres.pool, 'pepper', { name: 'A team' })
  return {
    db: postgres.database(),
    caller: { orgId, keyId, kind: 'api_key', scopes: [], ip: '127.0.0.1' },
    now: Date.now,
    newId: (prefix) => newId(prefix, Date.now()),
  }
}

/** Numbers that look random and are the same in every run. */
function numbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}
/** Near one of forty directions, as texts of the same subject are. */
function clustered(next: () => number, dimensions: number): number[] {
  const centre = numbers(1 + Math.floor(next() * 40))
  return Array.from({ length: dimensions }, () => centre() - 0.5 + (next() - 0.5) * 1.2)
}

const text = { model: 'ollama/a:latest', dimensions: 384, modality: 'text' } as const

async function filled(world: World, many: number, seed = 5): Promise<{ space: Space; next: () => number }> {
  const space = await spaceFor(world, text)
  const next = numbers(seed)
  const owned = Array.from({ length: many }, (_, at) => ({
    ownerId: `${world.caller.orgId}-${at}`,
    sourceId: `source-${at % 7}`,
    vector: clustered(next, space.dimensions),
  }))
  await storeVectors(world, { space, ownerKind: 'chunk' }, owned)
  return { space, next }
}

describe('a space', () => {
  it('is made once for a model, a length and a kind, also by many at once', async () => {
    const world = await worldOf()
    const wishes = [text, text, { ...text, dimensions: 768 }, { ...text, modality: 'caption' as const }, text]
    const made = await Promise.all(wishes.map((wish) => spaceFor(world, wish)))
    expect(new Set(made.map(({ id }) => id)).size).toBe(3)
    const spaces = await spacesOf(world, 'text')
    expect(spaces.map(({ isDefault }) => isDefault)).toEqual([true, false])
    const other = await worldOf()
    expect(await spacesOf(other, 'text')).toEqual([])
    expect((await spaceFor(other, text)).id).not.toBe(made[0]?.id)
  })

  it('takes no vector of another length, and none without a direction', async () => {
    const world = await worldOf()
    const space = await spaceFor(world, { ...text, dimensions: 3 })
    const into = { space, ownerKind: 'image' as const }
    for (const vector of [
      [1, 2],
      [0, 0, 0],
      [1, Number.NaN, 1],
    ]) {
      await expect(storeVectors(world, into, [{ ownerId: 'a', vector }])).rejects.toMatchObject({
        code: 'model_output_invalid',
        status: 502,
      })
    }
    await expect(nearest(world, { ...into, vector: [1, 2], limit: 1 })).rejects.toMatchObject({
      details: { expected: 3, got: 2 },
    })
  })

  it('finds what is nearest, by the angle alone, and in the sources that are named', async () => {
    const world = await worldOf()
    const space = await spaceFor(world, { ...text, dimensions: 3 })
    const into = { space, ownerKind: 'image' as const }
    await storeVectors(world, into, [
      { ownerId: 'east', sourceId: 'a', vector: [100, 0, 0] },
      { ownerId: 'north', sourceId: 'b', vector: [0, 0.1, 0] },
      { ownerId: 'west', sourceId: 'b', vector: [-3, 0, 0] },
    ])
    const found = await nearest(world, { ...into, vector: [1, 1e-9, 0], limit: 5 })
    expect(found.map(({ ownerId, similarity }) => [ownerId, Math.round(similarity * 1e6) / 1e6])).toEqual([
      ['east', 1],
      ['north', 0],
      ['west', -1],
    ])
    const inB = await nearest(world, { ...into, vector: [1, 0, 0], limit: 5, filter: { sourceIds: ['b'] } })
    expect(inB.map(({ ownerId }) => ownerId)).toEqual(['north', 'west'])
    expect(await nearest(world, { ...into, vector: [1, 0, 0], limit: 5, filter: { sourceIds: [] } })).toEqual([])
    await storeVectors(world, into, [{ ownerId: 'west', sourceId: 'c', vector: [1, 0.1, 0] }])
    await removeVectors(world, { ownerKind: 'image', ownerIds: ['east'] })
    const moved = await nearest(world, { ...into, vector: [1, 0, 0], limit: 1 })
    expect(moved).toMatchObject([{ ownerId: 'west', sourceId: 'c' }])
    expect(await nearest(world, { ...into, ownerKind: 'chunk', vector: [1, 0, 0], limit: 5 })).toEqual([])
  })

  it('finds by its index what comparing all of them finds', { timeout: PATIENCE_MS }, async () => {
    const world = await worldOf()
    const { space, next } = await filled(world, count(150, 10_000))
    await postgres.pool.query('analyze embeddings')
    let hits = 0
    const queries = 30
    for (let query = 0; query < queries; query++) {
      const wish = { space, ownerKind: 'chunk', vector: clustered(next, 384), limit: 10 } as const
      const exact = (await nearest(world, { ...wish, isExact: true })).map(({ ownerId }) => ownerId)
      hits += (await nearest(world, wish)).filter(({ ownerId }) => exact.includes(ownerId)).length
    }
    expect(hits / (queries * 10)).toBeGreaterThanOrEqual(0.98)
  })

  it('never gives a vector of another organisation', { timeout: PATIENCE_MS }, async () => {
    const [mine, theirs] = [await worldOf(), await worldOf()]
    const { space, next } = await filled(mine, 20, 11)
    await filled(theirs, 200, 12)
    const probes = count(60, 10_000)
    let foreign = 0
    let found = 0
    const ask = async () => {
      const vector = clustered(next, 384)
      for (const { ownerId } of await nearest(mine, { space, ownerKind: 'chunk', vector, limit: 20 })) {
        found += 1
        if (!ownerId.startsWith(mine.caller.orgId)) foreign += 1
      }
    }
    for (let asked = 0; asked < probes; asked += 10) await Promise.all(Array.from({ length: 10 }, ask))
    expect({ foreign, found }).toEqual({ foreign: 0, found: probes * 20 })
  })
})

describe('a direction', () => {
  it('is one long', () => {
    expect(unitVector([3, 4])).toEqual([0.6, 0.8])
    expect(() => unitVector([])).toThrow()
  })
})
