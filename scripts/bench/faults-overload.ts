import { setTimeout as sleep } from 'node:timers/promises'
import { callFigures, counted, lostOf, msOf, none } from './faults-figures.ts'
import { closedLoop, openLoop, percentile, type Seen } from './faults-load.ts'
import { type FaultsWorld, heldAtLast, warmUp } from './faults-world.ts'
import type { Figure } from './report.ts'

const MODEL = 'openai/gpt-4o'
const PLACES = 8
const ANSWER_MS = 1000
const SECONDS = 60
const PEAK_SECONDS = 10
const PER_SECOND = (10 * PLACES * 1000) / ANSWER_MS
/** Whoever has 8 s waits for 4 at most: so long is the line when it is over. */
const TIMEOUT_MS = 8000
/** How long an answer may take to count as a normal one. */
const NORMAL_MS = 1.5 * ANSWER_MS
const AFTER_SECONDS = 10
const AFTER_PER_SECOND = 2

/** Out of twenty calls in order: few are urgent, so that the critical ones alone could all be served. */
const MIX = Array.from({ length: 20 }, (_, at) =>
  at === 7 ? 'critical' : at % 10 === 3 ? 'high' : at % 2 === 0 ? 'normal' : 'low',
)
const priorityOf = ({ no }: Pick<Seen, 'no'>) => MIX[no % MIX.length]

/** Ten times as many calls as a vendor with a limit of calls at once can answer. */
export async function overload(world: FaultsWorld): Promise<Figure[]> {
  const { openai } = world.vendors
  const limit = { subject_kind: 'provider', subject_id: 'openai', metric: 'concurrency', amount: PLACES }
  await world.make('/api/v1/limits', limit)
  await warmUp(world, [MODEL])
  await openai.always([`delay=${ANSWER_MS}`])
  const clients = { clients: 2 * PLACES, seconds: PEAK_SECONDS }
  const peak = paceOf(await closedLoop(world.caller, () => ({ model: MODEL }), clients))
  world.cores()
  const { seen, later, beganMs, endMs, cores } = await flood(world)
  const within = seen.filter(({ isAnswered, endedMs }) => isAnswered && endedMs < endMs)
  const goodput = (within.length * 1000) / (endMs - beganMs)
  return [
    ...callFigures(seen),
    counted('answers a second at the peak', peak),
    { name: 'goodput over the peak', value: (100 * goodput) / peak, unit: '%', least: 90 },
    ...refusalFigures(seen),
    { name: 'calls at once at the vendor, the most', value: await openai.mostAtOnce(), unit: '', most: PLACES },
    { name: 'normal again after', value: backSeconds(later, endMs), unit: 's', most: 5 },
    await heldAtLast(world),
    ...cores,
  ]
}

/** Calls at ten times the rate, and then a few to tell when all is well again. */
async function flood({ caller, cores }: FaultsWorld) {
  const beganMs = Date.now()
  const endMs = beganMs + SECONDS * 1000
  const asking = (no: number) => ({ model: MODEL, helix: { priority: priorityOf({ no }), timeout_ms: TIMEOUT_MS } })
  const flooding = openLoop(caller, asking, { perSecond: PER_SECOND, isOver: () => Date.now() >= endMs })
  await sleep(endMs - Date.now())
  const used = cores()
  const isOver = () => Date.now() >= endMs + AFTER_SECONDS * 1000
  const after = openLoop(caller, () => ({ model: MODEL }), { perSecond: AFTER_PER_SECOND, isOver })
  const [seen, later] = await Promise.all([flooding, after])
  return { seen, later, beganMs, endMs, cores: used }
}

function refusalFigures(seen: readonly Seen[]): Figure[] {
  const refused = seen.filter(({ status }) => status === 503)
  const times = refused.map(msOf)
  const others = lostOf(seen).length - refused.length
  const shares = ['low', 'normal', 'high', 'critical'].map((priority): Figure => {
    const share = (of: readonly Seen[]) => of.filter((call) => priorityOf(call) === priority).length
    return { name: `refused of ${priority}`, value: (100 * share(refused)) / share(seen), unit: '%' }
  })
  return [
    { name: 'refusals, p99', value: percentile(times, 0.99), unit: 'ms', most: 100 },
    { name: '… median', value: percentile(times, 0.5), unit: 'ms' },
    none('ends other than an answer or a refusal', others),
    ...shares,
  ]
}

/** Answers a second, of calls that are answered so many at once: between the first of them and the last. */
function paceOf(seen: readonly Seen[]): number {
  const ends = lostOf(seen).length === 0 ? seen.map(({ endedMs }) => endedMs) : []
  return ((ends.length - PLACES) * 1000) / (Math.max(...ends) - Math.min(...ends))
}

/** From when on every call was answered in its normal time, in seconds after the end of the flood. */
function backSeconds(later: readonly Seen[], endMs: number): number {
  const slow = later.filter((call) => !call.isAnswered || msOf(call) > NORMAL_MS)
  if (slow.length === 0) return 0
  // The next one after the last that was slow was well.
  return (Math.max(...slow.map(({ startedMs }) => startedMs)) - endMs) / 1000 + 1 / AFTER_PER_SECOND
}
