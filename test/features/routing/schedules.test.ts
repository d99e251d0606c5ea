import fc from 'fast-check'
import { describe, it } from 'vitest'
import { count } from '../../support/lane.ts'
import { type Ask, type Deed, play, type Schedule, type ScheduledCall, type Turn } from './schedules.ts'

const deed = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Deed>('answers') },
  { weight: 6, arbitrary: fc.constantFrom<Deed>('connect', 'timeout', 'garbage', 'cut') },
  { weight: 4, arbitrary: fc.constantFrom(400, 401, 404, 408, 500, 502, 503, 529).map((status): Deed => ({ status })) },
  {
    weight: 4,
    arbitrary: fc
      .option(fc.oneof(fc.integer({ min: 0, max: 2500 }), fc.integer({ min: 0, max: 90_000 })), { nil: undefined })
      .map((retryAfterMs): Deed => ({ status: 429, retryAfterMs })),
  },
)
const turn = fc.record<Turn>({ does: deed, tookMs: fc.integer({ min: 0, max: 3000 }) })
/** A target that does the same thing for long moves its breaker, and one that is well again closes it. */
const spell = fc.record({
  one: fc.record<Turn>({ does: deed, tookMs: fc.integer({ min: 0, max: 400 }) }),
  long: fc.integer({ min: 5, max: 30 }),
})
const conduct = fc.oneof(
  fc.array(turn, { minLength: 1, maxLength: 6 }),
  fc
    .array(spell, { minLength: 1, maxLength: 3 })
    .map((all) => all.flatMap(({ one, long }) => Array<Turn>(long).fill(one))),
)
const call = fc.record<ScheduledCall>({
  atMs: fc.oneof(fc.integer({ min: 0, max: 2000 }), fc.integer({ min: 0, max: 60_000 })),
  isolate: fc.constantFrom<0 | 1>(0, 1),
  wants: fc.oneof(fc.constant([0]), fc.shuffledSubarray([0, 1, 2], { minLength: 1 })),
  repeatable: fc.boolean(),
  mayPayTwice: fc.boolean(),
  timeoutMs: fc.option(fc.integer({ min: 1000, max: 20_000 }), { nil: undefined, freq: 3 }),
  leavesAfterMs: fc.option(fc.integer({ min: 0, max: 5000 }), { nil: undefined, freq: 8 }),
})
/** Many who want the same, one shortly after the other. */
const burst = fc
  .record({ call, calls: fc.integer({ min: 2, max: 25 }), gapMs: fc.integer({ min: 0, max: 60 }) })
  .map((one) => Array.from({ length: one.calls }, (_, at) => ({ ...one.call, atMs: one.call.atMs + at * one.gapMs })))
const schedule = fc.record<Schedule>({
  targets: fc.array(conduct, { minLength: 3, maxLength: 3 }),
  calls: fc
    .array(fc.oneof({ weight: 3, arbitrary: call.map((one) => [one]) }, { weight: 1, arbitrary: burst }), {
      minLength: 1,
      maxLength: 12,
    })
    .map((all) => all.flat()),
})

const PASSING = new Set([408, 500, 502, 503, 504, 529])
const statusOf = (does: Deed): number | undefined => (typeof does === 'object' ? does.status : undefined)
const retryAfterOf = (does: Deed): number | undefined => (typeof does === 'object' ? does.retryAfterMs : undefined)

/** What the rules say of going on after an attempt, in other words than the code has for them. */
function mayFollow(before: Ask, next: Ask, { repeatable, mayPayTwice }: ScheduledCall): boolean {
  const { does } = before
  const status = statusOf(does)
  const isSame = before.target === next.target
  if (does === 'answers') return false
  if (does === 'connect' || PASSING.has(status ?? 0)) return true
  if (does === 'timeout') return repeatable || (mayPayTwice && !isSame)
  if (status === 429) {
    const waitMs = retryAfterOf(does)
    return !isSame || (waitMs !== undefined && waitMs <= 2000 && next.atMs >= before.endMs + waitMs)
  }
  return !isSame && (does === 'garbage' || does === 'cut' || status === 401)
}

/** Cheaper than `expect`, which a hundred thousand schedules would wait for. */
function insist(holds: boolean, rule: string, ...about: unknown[]): void {
  if (!holds) throw new Error(`${rule}: ${JSON.stringify(about)}`)
}

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('there is none')
  return value
}

type Played = Pick<Awaited<ReturnType<typeof play>>, 'asks' | 'ends'>

async function check(given: Schedule): Promise<void> {
  const { asks, ends, left, endMs } = await play(given)
  for (const [no, one] of given.calls.entries()) {
    const end = must(ends[no])
    const mine = asks.filter((ask) => ask.call === no)
    const last = mine.at(-1)
    insist(mine.length <= 3, 'a call makes three attempts at most', mine)
    insist(end.ok === (last?.does === 'answers' && !last.isUnheard), 'a call ends as its last attempt did', end, mine)
    insist(!end.refused || mine.length === 0, 'a call that is refused asks nobody', mine)
    for (const [at, ask] of mine.entries()) {
      const before = mine[at - 1]
      insist(!before || (!before.isUnheard && mayFollow(before, ask, one)), 'this may not follow', before, ask)
      insist(ask.atMs < end.admittedMs + (one.timeoutMs ?? Number.POSITIVE_INFINITY), 'it was too late', ask, end)
    }
  }
  insistOnRetryAfter(given, { asks, ends })
  insistOnBreakers(asks)
  insistOnBudget(given, asks)
  const places = left.flatMap((fields) => ['p1', 'p2', 'p3'].map((place) => Number(fields.get(place) ?? 0)))
  insist(Math.max(...places) <= endMs, 'every place was given back', left)
}

/** Nobody asks before the time that was said: in the same isolate at once, elsewhere as soon as a call is admitted. */
function insistOnRetryAfter({ calls }: Schedule, { asks, ends }: Played): void {
  for (const refusal of asks) {
    const waitMs = retryAfterOf(refusal.does)
    if (waitMs === undefined || refusal.isUnheard) continue
    for (const ask of asks) {
      if (ask.target !== refusal.target || ask.atMs <= refusal.endMs || ask.atMs >= refusal.endMs + waitMs) continue
      const isHere = calls[ask.call]?.isolate === calls[refusal.call]?.isolate
      const hasHeard = isHere || must(ends[ask.call]).admittedMs > refusal.endMs
      insist(!hasHeard, 'it was asked too early', refusal, ask)
    }
  }
}

/** An open target is left alone, and one that is tried has three at it at most. */
function insistOnBreakers(asks: readonly Ask[]): void {
  const openedAt = ({ was }: Ask): number => Number(was.get('u') ?? 0)
  for (const ask of asks) {
    insist(openedAt(ask) <= ask.atMs, 'it was open', ask)
    if (openedAt(ask) === 0) continue
    const atOnce = asks.filter(
      (one) =>
        one.target === ask.target && openedAt(one) === openedAt(ask) && one.atMs <= ask.atMs && one.endMs > ask.atMs,
    )
    insist(atOnce.length <= 3, 'three try it at once at most', atOnce)
  }
}

/** The same target is asked again by a tenth of its calls, or ten of a minute; minutes end with the ten seconds. */
function insistOnBudget({ calls }: Schedule, asks: readonly Ask[]): void {
  const seen = new Set<string>()
  const repeats = new Set<Ask>()
  for (const ask of asks) {
    const name = `${ask.call} ${ask.target}`
    if (seen.has(name)) repeats.add(ask)
    seen.add(name)
  }
  for (const ask of repeats) {
    const alike = asks.filter(
      (one) =>
        one !== ask &&
        one.target === ask.target &&
        one.atMs <= ask.atMs &&
        calls[one.call]?.isolate === calls[ask.call]?.isolate,
    )
    const before = alike.filter((one) => repeats.has(one) && one.atMs > ask.atMs - 46_000).length
    const firsts = alike.filter((one) => !repeats.has(one) && one.atMs > ask.atMs - 63_000).length
    insist(before < Math.max(10, firsts * 0.1), 'it was asked again too often', before, firsts)
  }
}

describe('any calls of any targets', () => {
  it(
    'go by the table of retries, by what targets ask for, and come to an end',
    async () => {
      await fc.assert(fc.asyncProperty(schedule, check), {
        numRuns: count(250, 100_000),
        seed: 61,
        endOnFailure: true,
      })
    },
    count(60_000, 1_800_000),
  )
})
