import { setTimeout as sleep } from 'node:timers/promises'
import { type Call, chatBody, median, sendMany, streamBody } from './load.ts'
import { cpuMsOf } from './processes.ts'
import type { Figure } from './report.ts'
import type { Subject } from './subjects.ts'

/** Until V8 has compiled what is hot; the gateway has more code than a proxy. */
const WARM_CALLS = 4000
const CALLS = 800
const BURST = 40
const ROUNDS = 9
const PARALLEL = 8

const STREAM_ROUNDS = 7
/** On a busy machine there are fewer rounds, so that the whole stays within five minutes. */
const PART_MS = 75_000
/** At once, and so many times in turn. */
const STREAMS = 6
const STREAM_BURSTS = 4
const SHORT = 50
const LONG = 450

/** A ledger writes its batch within this time: it belongs to the round that filled it. */
const SETTLE_MS = 1300

function stopwatch(): () => boolean {
  const startMs = performance.now()
  return () => performance.now() - startMs < PART_MS
}

export type Compared = { bare: Subject; floor: Subject; helix: Subject }

/** CPU milliseconds of each subject in a round, in which they take turns in bursts: what the machine does hits all. */
async function cpuInTurns(subjects: readonly Subject[], call: Call): Promise<number[]> {
  const before = subjects.map(({ pid }) => cpuMsOf(pid))
  for (let burst = 0; burst < CALLS / BURST; burst++) {
    for (const subject of subjects) await sendMany(subject, call, { total: BURST, parallel: PARALLEL })
  }
  await sleep(SETTLE_MS)
  return subjects.map(({ pid }, at) => cpuMsOf(pid) - (before[at] ?? Number.NaN))
}

/** CPU of a warm call that is not streamed. */
export async function measureCalls({ bare, floor, helix }: Compared): Promise<Figure[]> {
  const subjects = [bare, floor, helix]
  const perCall = new Map<Subject, number[]>(subjects.map((subject) => [subject, []]))
  const call = { body: chatBody }
  for (const subject of subjects) await sendMany(subject, call, { total: WARM_CALLS, parallel: PARALLEL })
  await sleep(SETTLE_MS)
  const hasTime = stopwatch()
  for (let round = 0; round < ROUNDS && hasTime(); round++) {
    const spentMs = await cpuInTurns(subjects, call)
    for (const [at, subject] of subjects.entries()) perCall.get(subject)?.push((spentMs[at] ?? Number.NaN) / CALLS)
  }
  const ratioTo = (base: Subject) =>
    median((perCall.get(helix) ?? []).map((ms, round) => ms / (perCall.get(base)?.[round] ?? Number.NaN)))
  const ofSubject = (subject: Subject): Figure => ({
    name: `CPU a call, ${subject.name}`,
    value: median(perCall.get(subject) ?? []),
    unit: 'ms',
    spread: perCall.get(subject),
  })
  return [
    ...subjects.map(ofSubject),
    { name: 'CPU a call, helix / floor', value: ratioTo(floor), unit: 'x', most: 1.35 },
    { name: 'CPU a call, helix / bare', value: ratioTo(bare), unit: 'x', most: 5 },
  ]
}

type Way = { name: string; subject: Subject; path: string; micros: number[] }

/** Each in a process of its own, so that they can take turns: two floors, one for each way. */
export type ComparedStreams = { tee: Subject; pump: Subject; helix: Subject }

/** CPU of one event of a stream: long streams less short ones, so that what a call costs by itself falls out. */
export async function measureChunks({ tee, pump, helix }: ComparedStreams): Promise<Figure[]> {
  const ways: readonly Way[] = [
    { name: 'tee with one reader', subject: tee, path: '/tee', micros: [] },
    { name: 'empty pump', subject: pump, path: '/pump', micros: [] },
    { name: 'helix', subject: helix, path: '/v1/chat/completions', micros: [] },
  ]
  let readsPerStream = Number.POSITIVE_INFINITY
  /** CPU milliseconds of each way for as many streams of so many events. */
  const cpuOf = async (events: number): Promise<number[]> => {
    const before = ways.map(({ subject }) => cpuMsOf(subject.pid))
    for (let burst = 0; burst < STREAM_BURSTS; burst++) {
      for (const { subject, path } of ways) {
        const call = { path, body: streamBody(events) }
        const answers = await sendMany(subject, call, { total: STREAMS, parallel: STREAMS })
        if (events === LONG) readsPerStream = Math.min(readsPerStream, median(answers.map(({ reads }) => reads)))
      }
    }
    await sleep(SETTLE_MS)
    return ways.map(({ subject }, at) => cpuMsOf(subject.pid) - (before[at] ?? Number.NaN))
  }
  const hasTime = stopwatch()
  for (let round = -1; round < STREAM_ROUNDS && hasTime(); round++) {
    const [long, short] = [await cpuOf(LONG), await cpuOf(SHORT)]
    // The first round only warms up.
    if (round < 0) continue
    const events = STREAM_BURSTS * STREAMS * (LONG - SHORT)
    for (const [at, { micros }] of ways.entries()) {
      micros.push((((long[at] ?? Number.NaN) - (short[at] ?? Number.NaN)) * 1000) / events)
    }
  }
  const [first] = ways
  const toTee = ({ micros }: Way) => median(micros.map((value, round) => value / (first?.micros[round] ?? Number.NaN)))
  return [
    ...ways.map(
      ({ name, micros }): Figure => ({
        name: `CPU a chunk, ${name}`,
        value: median(micros),
        unit: 'µs',
        spread: micros,
      }),
    ),
    ...ways.slice(1).map(
      (way): Figure => ({
        name: `CPU a chunk, ${way.name} / tee`,
        value: toTee(way),
        unit: 'x',
        ...(way.subject === helix && { most: 1.3 }),
      }),
    ),
    { name: `network chunks of a stream of ${LONG} events`, value: readsPerStream, unit: '' },
  ]
}
