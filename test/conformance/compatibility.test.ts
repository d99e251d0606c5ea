import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { compatibilityDocument } from './compatibility/document.ts'
import { features } from './compatibility/features.ts'
import { isRefusedStrictly, probe } from './compatibility/probe.ts'
import { surfaces } from './surfaces/all.ts'
import { wires } from './truth.ts'
import { startWorld, type World } from './world.ts'

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

const pairs = surfaces.flatMap((surface) => wires.map((wire) => ({ surface, wire, name: surface.name })))

describe.each(pairs)('$name over $wire', (pair) => {
  it('reports to everyone exactly what it refuses a caller who wants all or nothing', async () => {
    const wrong: string[] = []
    for (const { name, ask } of features.flatMap(({ list }) => list)) {
      const words = ask[pair.surface.name]
      if (!words) continue
      const { outcome, ignored } = await probe(world, pair, words)
      const isLost = outcome !== 'sent' && outcome !== 'dropped'
      if ((await isRefusedStrictly(world, pair, words)) !== isLost) wrong.push(`${name}: ${outcome} ${ignored}`)
    }
    expect(wrong).toEqual([])
  })
})
