import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Wire } from '../../src/core/models.ts'
import { count, full } from '../support/lane.ts'
import { cutBy } from './fixtures/pieces.ts'
import { checkHeard, hearStream, hearWhole, streamed } from './replay.ts'
import { cutAt } from './splits.ts'
import { surfaces } from './surfaces/all.ts'
import { type Counts, type Said, type Truth, toldBy, wires } from './truth.ts'
import { startWorld, type World } from './world.ts'

const seed = 20_261_121
/** Answers for each pair; each is heard whole, and as a stream that is cut in two ways. */
const numRuns = count(5, 100)

/** Each test is hundreds of calls, and the machine may be busy. */
vi.setConfig({ testTimeout: 180_000 })

let world: World
let cases = 0

beforeAll(async () => {
  world = await startWorld()
})

const character = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }),
  fc.constantFrom(...'"\\/{}[]:\n\r\t\u2028\u0085\ufeff', 'data: ', '\n\n', 'event: error', '[DONE]', '😀'),
)
const text = fc
  .array(character, { minLength: 1, maxLength: 12 })
  .map((characters) => characters.join('').toWellFormed())

const json = fc.oneof(
  fc.constant(''),
  fc
    .dictionary(
      text.filter((key) => key !== '__proto__'),
      fc.oneof(text, fc.integer(), fc.boolean(), fc.constant(null), fc.array(text, { maxLength: 2 })),
      { maxKeys: 3 },
    )
    .map((fields) => JSON.stringify(fields)),
)

const thought = text.map((words): Said => ({ kind: 'thought', text: words }))
const spoken = text.map((words): Said => ({ kind: 'text', text: words }))
const refusal = text.map((words): Said => ({ kind: 'refusal', text: words }))
const call = fc.record({ name: fc.constantFrom('look', 'get_weather', 'a-b'), json })

const counts: fc.Arbitrary<Counts> = fc
  .record({
    fresh: fc.nat(5000),
    cached: fc.nat(5000),
    short: fc.nat(500),
    hour: fc.nat(500),
    said: fc.nat(3000),
    reasoning: fc.nat(3000),
  })
  .map(({ fresh, cached, short, hour, said, reasoning }) => ({
    prompt: fresh + cached + short + hour,
    cached,
    cacheWrite: short + hour,
    cacheWriteHour: hour,
    completion: said + reasoning,
    reasoning,
  }))

/** Thoughts, then what is said, then calls: the order in which every wire has them. */
const truth: fc.Arbitrary<Truth> = fc
  .record({
    thoughts: fc.array(thought, { maxLength: 1 }),
    words: fc.oneof(
      fc.array(spoken, { maxLength: 2 }),
      refusal.map((words) => [words]),
    ),
    calls: fc.array(call, { maxLength: 3 }),
    cut: fc.boolean(),
    counts,
  })
  .map(({ thoughts, words, calls, cut, counts: counted }) => {
    const isRefused = words.some(({ kind }) => kind === 'refusal')
    const made = isRefused ? [] : calls.map((given, at): Said => ({ kind: 'call', id: `call_${at}`, ...given }))
    const end = made.length > 0 ? 'tool_calls' : cut && !isRefused ? 'length' : 'stop'
    return { name: 'generated', said: [...thoughts, ...words, ...made], end, counts: counted }
  })

const truthOf = (wire: Wire) =>
  truth.map((given) => toldBy(wire, given)).filter((given): given is Truth => given !== undefined)

const pairs = surfaces.flatMap((surface) => wires.map((wire) => ({ surface, wire, name: surface.name })))

describe.each(pairs)('$name over $wire', (pair) => {
  const lengths = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 })
  const places = fc.array(fc.nat(6000), { maxLength: 40 })

  it('whatever is said is heard', async () => {
    await fc.assert(
      fc.asyncProperty(truthOf(pair.wire), lengths, places, async (given, cut, at) => {
        const bytes = streamed(pair.wire, given, cutBy(...cut))
        cases += 3
        checkHeard(await hearWhole(world, pair, given), given, pair)
        checkHeard((await hearStream(world, pair, [bytes])).heard, given, pair)
        checkHeard((await hearStream(world, pair, cutAt(bytes, at))).heard, given, pair)
      }),
      { seed, numRuns },
    )
  })
})

afterAll(() => {
  if (full()) expect(cases).toBeGreaterThanOrEqual(1500)
})
