import { setTimeout as sleep } from 'node:timers/promises'
import type { TruthRow } from '../../test/support/fake-vendor/server.ts'
import { callFigures, counted, lostOf, none } from './faults-figures.ts'
import { attemptsPerCall, closedLoop, openLoop, type Seen } from './faults-load.ts'
import { type FaultsWorld, heldAtLast, warmUp } from './faults-world.ts'
import type { Figure } from './report.ts'

const PER_SECOND = 200
const WELL_MS = 5000
const DOWN_MS = 45_000
/** From when on the gateway must know. */
const KNOWN_MS = 5000
/** It is open for 10, 20 and 40 s, and closes soon after. */
const MOST_OPEN_MS = 100_000
const AFTER_MS = 10_000

/** The preferred vendor goes down under load and comes back. */
export async function down(world: FaultsWorld): Promise<Figure[]> {
  const [target, other] = ['openai/gpt-4.1', 'deepseek/deepseek-chat']
  const { openai, deepseek } = world.vendors
  await warmUp(world, [target, other])
  world.cores()
  let isOver = false
  const asking = (no: number) => ({ model: target, stream: no % 2 === 1, helix: { fallback_models: [other] } })
  const load = openLoop(world.caller, asking, { perSecond: PER_SECOND, isOver: () => isOver })
  await sleep(WELL_MS)
  await openai.always(['status=500'])
  const downMs = Date.now()
  await sleep(DOWN_MS)
  await openai.always()
  const wellMs = Date.now()
  const closedMs = await untilClosed(world, target, downMs + MOST_OPEN_MS)
  await sleep(AFTER_MS)
  isOver = true
  const seen = await load
  const cores = world.cores()
  const [rows, others] = await Promise.all([openai.truth(), deepseek.truth()])
  const goodMs = rows.find(({ atMs, finished }) => atMs > wellMs && finished)?.atMs ?? Number.NaN
  const isDown = (ms: number) => ms >= downMs + KNOWN_MS && ms < wellMs
  const calls = seen.filter(({ startedMs }) => isDown(startedMs))
  const asked = [...rows, ...others].filter(({ atMs }) => isDown(atMs)).length
  return [
    ...callFigures(seen),
    none('calls without an answer', lostOf(seen).length),
    { name: 'attempts a call from 5 s on', value: attemptsPerCall(calls), unit: '', most: 1.1 },
    { name: '… as the vendors count them', value: asked / calls.length, unit: '', most: 1.1 },
    { name: 'closed after the first good probe', value: (closedMs - goodMs) / 1000, unit: 's', most: 10 },
    await heldAtLast(world),
    ...cores,
  ]
}

/** Infinity when it did not close by then. */
async function untilClosed(world: FaultsWorld, target: string, untilMs: number): Promise<number> {
  while (Date.now() < untilMs) {
    if ((await world.breaker(target)) === 0) return Date.now()
    await sleep(50)
  }
  return Number.POSITIVE_INFINITY
}

/** A hundred people who think for up to a second before they ask again. */
const CROWD = { clients: 100, thinkMs: 1000, seconds: 60 }

const faults = ['status=500', 'status=503', 'reset', 'html200', 'eof=0']
/** Three of ten fail, and all take 50 to 500 ms more. */
const moods = Array.from({ length: 100 }, (_, at) => {
  const delay = `delay=${50 + Math.round((at * 450) / 99)}`
  const place = at % 10
  const fault = place < 3 ? faults[(3 * Math.floor(at / 10) + place) % faults.length] : undefined
  return fault === undefined ? delay : `${delay},${fault}`
})

/** One of three vendors fails now and then. */
export async function sometimes(world: FaultsWorld): Promise<Figure[]> {
  const [failing, second, third] = ['groq/llama-3.3-70b-versatile', 'openai/gpt-4o-mini', 'deepseek/deepseek-chat']
  await warmUp(world, [failing, second, third])
  await world.vendors.groq.always(moods)
  world.cores()
  const orders = [
    [failing, second, third],
    [second, failing, third],
    [failing, third],
  ] as const
  const asking = (no: number) => {
    const [model, ...others] = orders[no % orders.length] ?? orders[0]
    return { model, stream: no % 2 === 1, helix: { fallback_models: others } }
  }
  const seen = await closedLoop(world.caller, asking, CROWD)
  const cores = world.cores()
  const had = (await world.vendors.groq.truth()).filter(({ fault }) => fault !== undefined)
  return [
    ...callFigures(seen),
    { name: 'answered', value: 100 * (1 - lostOf(seen).length / seen.length), unit: '%', least: 99.9 },
    counted('attempts a call', attemptsPerCall(seen)),
    counted('calls that the failing vendor had', had.length),
    await heldAtLast(world),
    ...cores,
  ]
}

const CAPACITY_PER_SECOND = 20
const QUIET_MS = 3000

/** A vendor with capacity for few calls a second answers 429 to the rest and wants to be left alone for a while. */
export async function storm(world: FaultsWorld): Promise<Figure[]> {
  const [target, other] = ['openai/gpt-4o', 'deepseek/deepseek-chat']
  await warmUp(world, [target, other])
  const { openai } = world.vendors
  await openai.always([`status=429,retry-after=${QUIET_MS / 1000}`], CAPACITY_PER_SECOND)
  const beganMs = Date.now()
  world.cores()
  const asking = (no: number) => ({ model: target, stream: no % 2 === 1, helix: { fallback_models: [other] } })
  const seen = await closedLoop(world.caller, asking, CROWD)
  const cores = world.cores()
  const rows = (await openai.truth()).filter(({ atMs }) => atMs >= beganMs)
  const refusals = rows.filter(({ status }) => status === 429)
  const early = earlyOf(rows, refusals)
  return [
    ...callFigures(seen),
    none('calls without an answer', lostOf(seen).length),
    counted('refusals', refusals.length),
    none('asked before Retry-After, by calls that began later', fromLaterCalls(early, seen).length),
    { name: 'the last that was on its way came after', value: Math.max(0, ...early.map(({ ms }) => ms)), unit: 'ms' },
    await heldAtLast(world),
    ...cores,
  ]
}

type Early = { row: TruthRow; refusal: TruthRow; ms: number }

/** What arrived within the time that a refusal asked for, and so long after it. */
const earlyOf = (rows: readonly TruthRow[], refusals: readonly TruthRow[]): Early[] =>
  refusals.flatMap((refusal) =>
    rows.flatMap((row) => {
      const ms = row.atMs - refusal.atMs
      return ms > 0 && ms < QUIET_MS ? [{ row, refusal, ms }] : []
    }),
  )

/** Those of them whose callers asked when the caller of the refusal had been answered already. */
function fromLaterCalls(early: readonly Early[], seen: readonly Seen[]): Early[] {
  const calls = new Map(seen.map((call) => [call.marker, call]))
  const callOf = ({ marker }: TruthRow): Seen => {
    const call = calls.get(marker ?? '')
    if (!call) throw new Error('The vendor was asked by a call that nobody sent.')
    return call
  }
  return early.filter(({ row, refusal }) => callOf(row).startedMs > callOf(refusal).endedMs)
}
