import type { Admission } from '../../../src/core/admission.ts'
import { AppError } from '../../../src/core/errors.ts'
import { createMemory } from '../../../src/core/memory.ts'
import { UpstreamError } from '../../../src/core/models.ts'
import { redisKeys } from '../../../src/features/admission/keys.ts'
import { admissionScript } from '../../../src/features/admission/script.ts'
import { readReply, scriptInput } from '../../../src/features/admission/script-call.ts'
import { statesByTarget } from '../../../src/features/admission/targets.ts'
import { dispatch } from '../../../src/features/routing/dispatch.ts'
import { plan } from '../../../src/features/routing/named.ts'
import { giveBackUnplanned } from '../../../src/features/routing/run.ts'
import { fakeAdmission, fakeDeps, fakePolicy } from '../../support/fake-deps.ts'
import { memoryRedis } from '../../support/gateway-redis.ts'
import { virtualTime } from './virtual-time.ts'
import { target } from './world.ts'

/** What a target does with one attempt, and how long that takes it. */
export type Turn = { does: Deed; tookMs: number }
export type Deed =
  | 'answers'
  | 'connect'
  | 'timeout'
  | 'garbage'
  | 'cut'
  | { status: number; retryAfterMs?: number | undefined }

export type ScheduledCall = {
  atMs: number
  isolate: 0 | 1
  /** Numbers of targets, in the order in which it would have them. */
  wants: readonly number[]
  repeatable: boolean
  mayPayTwice: boolean
  timeoutMs: number | undefined
  leavesAfterMs: number | undefined
}

/** What each target does, attempt by attempt and then all over again, and who calls when. */
export type Schedule = { targets: readonly (readonly Turn[])[]; calls: readonly ScheduledCall[] }

/** An attempt as the target saw it. `was` is its state when the call was admitted. */
export type Ask = {
  call: number
  target: string
  atMs: number
  endMs: number
  does: Deed
  was: ReadonlyMap<string, string>
  /** Its caller had left by its end: nobody has heard of what it said. */
  isUnheard: boolean
}

export type CallEnd = { admittedMs: number; endMs: number; ok: boolean; refused: boolean }

const START_MS = 1_800_000_000_000

const failureOf = (deed: Deed): UpstreamError | undefined => {
  if (deed === 'answers') return undefined
  if (typeof deed === 'string') return new UpstreamError(deed, 'scripted')
  const { status, retryAfterMs } = deed
  return new UpstreamError('status', 'scripted', { status, retryAfterMs })
}

/** Plays a schedule in no time: what was asked, how every call ended, and what is left in the store. */
export async function play(schedule: Schedule) {
  const time = virtualTime(START_MS)
  const redis = memoryRedis(time.now)
  const memories = [createMemory(), createMemory()] as const
  const policy = fakePolicy()
  const record = 'key:of-all'
  await redis.pipeline([['HSET', record, { v: policy.version, p: '', at: '1', due: String(2 * START_MS) }]])
  const used = schedule.targets.map(() => 0)
  const asks: Ask[] = []
  const ends: CallEnd[] = []
  const deferred: Promise<unknown>[] = []
  let seed = 1
  const random = () => {
    seed = (seed * 16_807) % 2_147_483_647
    return seed / 2_147_483_647
  }

  const admit = async (candidates: readonly string[]): Promise<Admission> => {
    const ask = { tokens: 0, candidates }
    const { keys, args } = scriptInput({ record, policy, ask, hold: undefined, nowMs: time.now() })
    const reply = readReply(await redis.run(admissionScript, keys, args), policy, ask)
    if (reply.kind !== 'admitted') throw new Error(`it was ${reply.kind}`)
    return { ...fakeAdmission(), ...statesByTarget(ask, reply.states) }
  }

  async function makeCall(call: ScheduledCall, no: number): Promise<void> {
    await time.sleep(call.atMs)
    const targets = call.wants.map((one) => target(`t${one}/m`))
    const admission = await admit(targets.map(({ id }) => id))
    const admittedMs = time.now()
    const was = new Map(targets.map(({ id }) => [id, new Map(redis.fields(redisKeys.target(id)))]))
    const leaving = new AbortController()
    const world = {
      ...fakeDeps(),
      redis,
      memory: memories[call.isolate],
      now: time.now,
      random,
      admission,
      defer: (work: Promise<unknown>) => void deferred.push(work),
      signal: leaving.signal,
      requestId: `req_${no}`,
      startedMs: admittedMs,
      arrival: undefined,
    }
    const attempt = async ({ id }: { id: string }) => {
      const at = Number(id.slice(1, id.indexOf('/')))
      const turns = schedule.targets[at] ?? []
      const turn = turns[(used[at] ?? 0) % turns.length] ?? { does: 'answers', tookMs: 1 }
      used[at] = (used[at] ?? 0) + 1
      const entry: Ask = {
        call: no,
        target: id,
        atMs: time.now(),
        endMs: 0,
        does: turn.does,
        was: was.get(id) ?? new Map(),
        isUnheard: false,
      }
      asks.push(entry)
      await time.sleep(turn.tookMs)
      entry.endMs = time.now()
      entry.isUnheard = world.signal.aborted
      const failure = entry.isUnheard ? new UpstreamError('aborted', 'left') : failureOf(turn.does)
      if (failure) throw failure
      return id
    }
    if (call.leavesAfterMs !== undefined) void time.sleep(call.leavesAfterMs).then(() => leaving.abort())
    try {
      const planned = plan({ ...admission, targets, model: 'm', nowMs: time.now() })
      giveBackUnplanned(world, planned)
      const { repeatable, timeoutMs } = call
      const mayPayTwice = call.mayPayTwice ? async () => true : undefined
      const { ok } = await dispatch(world, planned, { attempt, repeatable, mayPayTwice, timeoutMs })
      ends[no] = { admittedMs, endMs: time.now(), ok, refused: false }
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      ends[no] = { admittedMs, endMs: time.now(), ok: false, refused: true }
    }
  }

  time.start()
  try {
    const calls = Promise.all(schedule.calls.map(makeCall))
    await time.run(schedule.calls.length * 40)
    await calls
    await Promise.all(deferred)
  } finally {
    time.stop()
  }
  const left = schedule.targets.map((_, at) => redis.fields(redisKeys.target(`t${at}/m`)))
  return { asks, ends, left, endMs: time.now() }
}
