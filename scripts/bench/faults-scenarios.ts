import { setTimeout as sleep } from 'node:timers/promises'
import { attemptsPerCall, closedLoop, failuresOf, openLoop, percentile, type Seen } from './faults-load.ts'
import { type FaultsWorld, heldAtLast } from './faults-world.ts'
import type { Figure } from './report.ts'

export type Scenario = (world: FaultsWorld) => Promise<Figure[]>

const CLIENTS = 100
const THINK_MS = 1000
const SECONDS = 60

const lostOf = (seen: readonly Seen[]): Seen[] => seen.filter(({ isAnswered }) => !isAnswered)
const countFigure = (name: string, value: number): Figure => ({ name, value, unit: '' })

function tellLost(seen: readonly Seen[]): void {
  const failures = failuresOf(seen)
  if (failures !== '') console.log(`  without an answer: ${failures}`)
}

/** Calls before the first that counts, so that isolate, records and connections are there. */
async function warmUp({ caller }: FaultsWorld, models: readonly string[]): Promise<void> {
  for (const model of models) {
    const [first] = await closedLoop(caller, () => ({ model }), { clients: 4, seconds: 1 })
    if (!first) throw new Error(`No call of ${model} was sent.`)
  }
}

/** The preferred vendor goes down under load and is well again 45 s later. */
export const down: Scenario = async (world) => {
  const [target, other] = ['openai/gpt-4.1', 'deepseek/deepseek-chat']
  const { openai, deepseek } = world.vendors
  await warmUp(world, [target, other])
  world.cores()
  let isOver = false
  const asking = (no: number) => ({ model: target, stream: no % 2 === 1, helix: { fallback_models: [other] } })
  const load = openLoop(world.caller, asking, { perSecond: 200, isOver: () => isOver })
  await sleep(5000)
  await openai.always(['status=500'])
  const downMs = Date.now()
  await sleep(45_000)
  await openai.always()
  const wellMs = Date.now()
  const closedMs = await untilClosed(world, target, wellMs + 75_000)
  // At least the whole time that was promised, also when the breaker closed early.
  await sleep(Math.max(5000, downMs + 85_000 - Date.now()))
  isOver = true
  const seen = await load
  const cores = world.cores()
  tellLost(seen)
  const [rows, others] = await Promise.all([openai.truth(), deepseek.truth()])
  const good = rows.find(({ atMs, finished }) => atMs > wellMs && finished)
  const isWhile = (ms: number) => ms >= downMs + 5000 && ms < wellMs
  const calls = seen.filter(({ startedMs }) => isWhile(startedMs))
  const asked = [...rows, ...others].filter(({ atMs }) => isWhile(atMs)).length
  return [
    countFigure('calls', seen.length),
    { name: 'calls without an answer', value: lostOf(seen).length, unit: '', most: 0 },
    { name: 'attempts a call from 5 s on, told', value: attemptsPerCall(calls), unit: '', most: 1.1 },
    { name: '… asked at the vendors', value: asked / calls.length, unit: '', most: 1.1 },
    { name: 'closed after the first good probe', value: (closedMs - (good?.atMs ?? 0)) / 1000, unit: 's', most: 10 },
    { name: 'latency, p99', value: percentile(seen.map(msOf), 0.99), unit: 'ms' },
    await heldAtLast(world),
    ...cores,
  ]
}

const msOf = ({ startedMs, endedMs }: Seen): number => endedMs - startedMs

/** Infinity when it did not close by then. */
async function untilClosed(world: FaultsWorld, target: string, untilMs: number): Promise<number> {
  while (Date.now() < untilMs) {
    if ((await world.breaker(target)) === 0) return Date.now()
    await sleep(50)
  }
  return Number.POSITIVE_INFINITY
}

/** One of three vendors fails three calls of ten, and takes 50 to 500 ms longer for all. */
export const sometimes: Scenario = async (world) => {
  const [failing, second, third] = ['groq/llama-3.3-70b-versatile', 'openai/gpt-4o-mini', 'deepseek/deepseek-chat']
  await warmUp(world, [failing, second, third])
  const kinds = ['status=500', 'status=503', 'reset', 'html200', 'eof=0']
  const directives = Array.from({ length: 1000 }, (_, at) => {
    const delay = `delay=${50 + ((at * 7919) % 451)}`
    return at % 10 < 3 ? `${delay},${kinds[at % kinds.length]}` : delay
  })
  await world.vendors.groq.always(directives)
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
  const seen = await closedLoop(world.caller, asking, { clients: CLIENTS, thinkMs: THINK_MS, seconds: SECONDS })
  const cores = world.cores()
  tellLost(seen)
  const rows = await world.vendors.groq.truth()
  return [
    countFigure('calls', seen.length),
    { name: 'answered', value: 100 * (1 - lostOf(seen).length / seen.length), unit: '%', least: 99.9 },
    countFigure('calls that the failing vendor had', rows.filter(({ fault }) => fault !== undefined).length),
    countFigure('attempts a call', attemptsPerCall(seen)),
    { name: 'latency, p99', value: percentile(seen.map(msOf), 0.99), unit: 'ms' },
    await heldAtLast(world),
    ...cores,
  ]
}

/** A vendor with capacity for twenty calls a second, which answers 429 to the rest and wants three seconds of quiet. */
export const storm: Scenario = async (world) => {
  const [target, other] = ['openai/gpt-4o', 'deepseek/deepseek-chat']
  const [perSecond, quietMs] = [20, 3000]
  await warmUp(world, [target, other])
  const { openai } = world.vendors
  await openai.always([`status=429,retry-after=${quietMs / 1000}`], perSecond)
  const beganMs = Date.now()
  world.cores()
  const asking = (no: number) => ({ model: target, stream: no % 2 === 1, helix: { fallback_models: [other] } })
  const seen = await closedLoop(world.caller, asking, { clients: CLIENTS, thinkMs: THINK_MS, seconds: SECONDS })
  const cores = world.cores()
  tellLost(seen)
  const rows = (await openai.truth()).filter(({ atMs }) => atMs >= beganMs)
  const refusals = rows.filter(({ status }) => status === 429)
  const calls = new Map(seen.map((call) => [call.marker, call]))
  const tooEarly = rows.filter(({ atMs, marker }) => {
    const call = calls.get(marker ?? '')
    if (!call) throw new Error('The vendor was asked by a call that nobody sent.')
    return refusals.some((refusal) => {
      const isQuiet = atMs > refusal.atMs && atMs < refusal.atMs + quietMs
      const toldMs = calls.get(refusal.marker ?? '')?.endedMs ?? 0
      return isQuiet && call.startedMs > toldMs
    })
  })
  const onItsWay = rows.flatMap(({ atMs }) =>
    refusals.flatMap((refusal) => (atMs > refusal.atMs && atMs < refusal.atMs + quietMs ? [atMs - refusal.atMs] : [])),
  )
  return [
    countFigure('calls', seen.length),
    { name: 'calls without an answer', value: lostOf(seen).length, unit: '', most: 0 },
    countFigure('refusals', refusals.length),
    { name: 'asked before Retry-After by later calls', value: tooEarly.length, unit: '', most: 0 },
    { name: 'the last that was on its way, after', value: Math.max(0, ...onItsWay), unit: 'ms' },
    { name: 'latency, p99', value: percentile(seen.map(msOf), 0.99), unit: 'ms' },
    await heldAtLast(world),
    ...cores,
  ]
}

const PLACES = 8
const ANSWER_MS = 1000
/** Out of twenty calls in order: few are urgent, so that these alone could all be served. */
const MIX = Array.from({ length: 20 }, (_, at) =>
  at === 7 ? 'critical' : at % 10 === 3 ? 'high' : at % 2 === 0 ? 'normal' : 'low',
)
const priorityOf = (no: number) => MIX[no % MIX.length]

/** Ten times as many calls as a vendor with a limit of calls at once can answer. */
export const overload: Scenario = async (world) => {
  const { caller, vendors } = world
  const model = 'openai/gpt-4o'
  await world.make('/api/v1/limits', {
    subject_kind: 'provider',
    subject_id: 'openai',
    metric: 'concurrency',
    amount: PLACES,
  })
  await warmUp(world, [model])
  await vendors.openai.always([`delay=${ANSWER_MS}`])
  const peak = paceOf(await closedLoop(caller, () => ({ model }), { clients: 2 * PLACES, seconds: 10 }))
  world.cores()
  const beganMs = Date.now()
  const endMs = beganMs + SECONDS * 1000
  const perSecond = (10 * PLACES * 1000) / ANSWER_MS
  // Whoever has 8 s waits for 4 at most: that is how long the line is when it is over.
  const asking = (no: number) => ({ model, helix: { priority: priorityOf(no), timeout_ms: 8000 } })
  const flooding = openLoop(caller, asking, { perSecond, isOver: () => Date.now() >= endMs })
  await sleep(endMs - Date.now())
  const cores = world.cores()
  const after = openLoop(caller, () => ({ model }), { perSecond: 2, isOver: () => Date.now() >= endMs + 10_000 })
  const [seen, later] = await Promise.all([flooding, after])
  tellLost(seen)
  const refused = seen.filter(({ status }) => status === 503)
  for (const priority of new Set(MIX)) {
    const all = seen.filter(({ no }) => priorityOf(no) === priority)
    const some = refused.filter(({ no }) => priorityOf(no) === priority)
    const late = some.filter((call) => msOf(call) > 100)
    console.log(
      `  ${priority}: ${all.length} calls, ${some.length} refused, ${late.length} of them after more than 100 ms (${percentile(late.map(msOf), 0.5)} ms)`,
    )
  }
  const slow = later.filter((call) => !call.isAnswered || msOf(call) > 1.5 * ANSWER_MS)
  const backMs = Math.max(endMs, ...slow.map(({ startedMs }) => startedMs + 500)) - endMs
  const urgent = seen.filter(({ no }) => priorityOf(no) === 'critical')
  return [
    countFigure('calls', seen.length),
    { name: 'answers a second, peak', value: peak, unit: '' },
    {
      name: 'goodput over peak',
      value: (100 * goodputOf(seen, { fromMs: beganMs, toMs: endMs })) / peak,
      unit: '%',
      least: 90,
    },
    { name: 'refusals, p99', value: percentile(refused.map(msOf), 0.99), unit: 'ms', most: 100 },
    { name: '… p50', value: percentile(refused.map(msOf), 0.5), unit: 'ms' },
    {
      name: 'ends other than an answer or a refusal',
      value: seen.length - refused.length - seen.filter(({ isAnswered }) => isAnswered).length,
      unit: '',
      most: 0,
    },
    countFigure('critical calls that were refused', lostOf(urgent).length),
    { name: 'calls at once at the vendor, the most', value: await vendors.openai.mostAtOnce(), unit: '', most: PLACES },
    { name: 'normal again after', value: backMs / 1000, unit: 's', most: 5 },
    await heldAtLast(world),
    ...cores,
  ]
}

/** Answers a second between the first answers and the last, of calls that were answered so many at once. */
function paceOf(seen: readonly Seen[]): number {
  const ends = seen.map(({ endedMs }) => endedMs)
  return ((ends.length - PLACES) * 1000) / (Math.max(...ends) - Math.min(...ends))
}

/** Answers a second that came within a time. */
function goodputOf(seen: readonly Seen[], { fromMs, toMs }: { fromMs: number; toMs: number }): number {
  const within = seen.filter(({ isAnswered, endedMs }) => isAnswered && endedMs >= fromMs && endedMs < toMs)
  return (within.length * 1000) / (toMs - fromMs)
}
