import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { count, full } from '../support/lane.ts'
import { cutBy } from './fixtures/pieces.ts'
import { truths } from './fixtures/truths.ts'
import { checkHeard, hearStream, hearWhole, type Pair, streamed } from './replay.ts'
import { cutAt, dangerous, places, single } from './splits.ts'
import { surfaces } from './surfaces/all.ts'
import { type Truth, toldBy, wires } from './truth.ts'
import { startWorld, type World } from './world.ts'

const seed = 20_261_121
/** In how many ways the bytes of one fixture are cut by chance, for each pair. */
const cuts = count(1, 12)
/** Streams up to this length are cut at every byte. */
const short = count(0, 1200)

/** Each test is hundreds of calls, and the machine may be busy. */
vi.setConfig({ testTimeout: 180_000 })

let world: World
let replays = 0

beforeAll(async () => {
  // Ids that nobody gave must compare.
  vi.spyOn(crypto, 'randomUUID').mockReturnValue('00000000-0000-4000-8000-000000000000')
  world = await startWorld()
  return () => vi.restoreAllMocks()
})

const pairs: Pair[] = surfaces.flatMap((surface) => wires.map((wire) => ({ surface, wire })))

const cases = pairs.flatMap((pair) =>
  truths.flatMap((given) => {
    const truth = toldBy(pair.wire, given)
    return truth ? [{ pair, truth, name: `${pair.surface.name} over ${pair.wire}: ${truth.name}` }] : []
  }),
)

async function replay(pair: Pair, truth: Truth, pieces: Iterable<Uint8Array>): Promise<void> {
  replays += 1
  checkHeard((await hearStream(world, pair, pieces)).heard, truth, pair)
}

/** The slowest way to be read is tried for every eighth case, or for all. */
const byteByByte = new Set(cases.filter((_case, position) => full() || position % 8 === 0))

it.each(cases)('$name', async (given) => {
  const { pair, truth } = given
  replays += 1
  checkHeard(await hearWhole(world, pair, truth), truth, pair)
  const bytes = streamed(pair.wire, truth, cutBy(3, 1, 7))
  await replay(pair, truth, [bytes])
  await replay(pair, truth, cutAt(bytes, dangerous(bytes)))
  await replay(pair, truth, [streamed(pair.wire, truth, cutBy(1))])
  await replay(pair, truth, [streamed(pair.wire, truth, cutBy(100_000))])
  for (const at of places(bytes.length, { seed, numRuns: cuts })) await replay(pair, truth, cutAt(bytes, at))
  if (byteByByte.has(given)) await replay(pair, truth, single(bytes))
  if (bytes.length > short) return
  for (let at = 1; at < bytes.length; at++) await replay(pair, truth, cutAt(bytes, [at]))
})

afterAll(() => {
  if (full()) expect(replays).toBeGreaterThan(1500)
})
