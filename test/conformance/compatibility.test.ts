import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { count } from '../support/lane.ts'
import { compatibilityDocument } from './compatibility/document.ts'
import { features } from './compatibility/features.ts'
import { isRefusedStrictly, probe } from './compatibility/probe.ts'
import { surfaces } from './surfaces/all.ts'
import { wires } from './truth.ts'
import { startWorld, type World } from './world.ts'

/** Each test is hundreds of calls, and the machine may be busy. */
vi.setConfig({ testTimeout: 180_000 })

let world: World

beforeAll(async () => {
  world = await startWorld()
})

describe('docs/compatibility.md', () => {
  it('says what is true (`node scripts/compatibility.ts` writes it anew)', async () => {
    const file = join(import.meta.dirname, '../../docs/compatibility.md')
    expect(readFileSync(file, 'utf8')).toBe(await compatibilityDocument(world))
  })
})

/** One in three is asked of each pair, or all of them. */
const step = count(3, 1)

const pairs = surfaces.flatMap((surface) => wires.map((wire) => ({ surface, wire, name: surface.name })))
const positionOf = (pair: (typeof pairs)[number]): number => pairs.indexOf(pair)

describe.each(pairs)('$name over $wire', (pair) => {
  it('reports to everyone exactly what it refuses a caller who wants all or nothing', async () => {
    const wrong: string[] = []
    const all = features.flatMap(({ list }) => list)
    for (const { name, ask } of all.filter((_feature, at) => at % step === positionOf(pair) % step)) {
      const words = ask[pair.surface.name]
      if (!words) continue
      const { outcome, ignored } = await probe(world, pair, words)
      const isLost = outcome !== 'sent' && outcome !== 'dropped'
      if ((await isRefusedStrictly(world, pair, words)) !== isLost) wrong.push(`${name}: ${outcome} ${ignored}`)
    }
    expect(wrong).toEqual([])
  })
})
