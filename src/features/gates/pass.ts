import type { Ctx } from '../../core/context.ts'
import { DependencyError } from '../../core/errors.ts'
import type { Gate, GateAnswer, GateEntry } from '../../core/gate.ts'
import { type ChatStream, type Provider, UpstreamError } from '../../core/models.ts'
import { longestWaitMs } from '../../core/queue.ts'
import type { Priority } from '../../core/routing.ts'

/** An attempt that was given up may be told to the gate a little late. */
const LEASE_SLACK_MS = 5000

type World = Pick<Ctx, 'gateOf' | 'newId' | 'now' | 'log' | 'defer'>

export type Passing = {
  provider: Provider
  priority: Priority | undefined
  /** What is left of the time of the attempt: it waits for half of it at most, and its place is free again after it. */
  leftMs: number
  /** False where another target could answer at once. */
  waits: boolean
  /** Aborted when the caller leaves, or nobody wants the answer any more. */
  signal: AbortSignal
}

/** Gives the place back; safe to call twice. */
export type Leave = () => void

const stay: Leave = () => undefined

/**
 * Lets an attempt through the gate of its target, where that takes so many calls at once. Whoever gets in must leave,
 * and leaves at the latest when `signal` is aborted. A gate that cannot be reached is open. Throws
 * `UpstreamError('overloaded')` for whom there is no place, and `aborted` for who has left meanwhile.
 */
export async function passGate(world: World, passing: Passing): Promise<Leave> {
  const { provider, priority = 'normal', leftMs, waits, signal } = passing
  const limit = provider.maxConcurrency
  if (limit === undefined) return stay
  const gate = world.gateOf(provider.account?.id ?? provider.name)
  const ticket = world.newId('tkt')
  const left = Promise.withResolvers<void>()
  // Said now that there will be more to do: after the last byte of an answer it would be too late.
  world.defer(left.promise)
  let isOver = false
  const end = (leaving?: Promise<void>): void => {
    isOver = true
    signal.removeEventListener('abort', leave)
    left.resolve(leaving)
  }
  const leave = (): void => {
    if (!isOver) end(gate.leave(ticket).catch((cause: unknown) => reportAway(world, provider, cause)))
  }
  signal.addEventListener('abort', leave)
  if (signal.aborted) leave()
  const waitMs = waits ? longestWaitMs(leftMs) : 0
  const answer = await enter(world, gate, {
    provider,
    entry: { ticket, priority, limit, waitMs, leaseMs: leftMs + LEASE_SLACK_MS },
    isOver: () => isOver,
  }).catch((error: unknown) => {
    leave()
    throw error
  })
  if (isOver) throw new UpstreamError('aborted', `The caller left before ${provider.name} was asked.`)
  if (answer.ok) return leave
  end()
  const { retryAfterMs } = answer
  throw new UpstreamError('overloaded', `${provider.name} has as many calls as it takes.`, { retryAfterMs })
}

type Entering = { provider: Provider; entry: GateEntry; isOver: () => boolean }

/** A gate that dies takes those who wait along: they ask once more before they go on without it. */
async function enter(world: World, gate: Gate, { provider, entry, isOver }: Entering): Promise<GateAnswer> {
  const startedMs = world.now()
  try {
    return await gate.enter(entry)
  } catch (first) {
    if (isOver()) return { ok: true }
    if (!(first instanceof DependencyError)) throw first
    try {
      const waitMs = Math.max(0, entry.waitMs - (world.now() - startedMs))
      return await gate.enter({ ...entry, waitMs })
    } catch (cause) {
      if (!isOver()) reportAway(world, provider, cause)
      return { ok: true }
    }
  }
}

function reportAway({ log }: World, { name }: Provider, cause: unknown): void {
  if (!(cause instanceof DependencyError)) throw cause
  log.warn('gate_away', { provider: name, cause: String(cause.cause) })
}

/** The same stream, of which somebody leaves at its end, whatever that is. */
export const leavingAfter = (stream: ChatStream, leave: Leave): ChatStream => ({
  async read() {
    try {
      const parts = await stream.read()
      if (!parts) leave()
      return parts
    } catch (error) {
      leave()
      throw error
    }
  },
  cancel() {
    stream.cancel()
    leave()
  },
})
