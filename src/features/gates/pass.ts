import type { Ctx } from '../../core/context.ts'
import { DependencyError } from '../../core/errors.ts'
import { type Gate, type GateAnswer, type GateEntry, LONGEST_LEASE_MS } from '../../core/gate.ts'
import { type ChatStream, type Provider, UpstreamError } from '../../core/models.ts'
import type { NodeLimits, NodeWork } from '../../core/node.ts'
import { longestWaitMs } from '../../core/queue.ts'
import type { Priority } from '../../core/routing.ts'

/** An attempt that was given up may be told to the gate a little late. */
const LEASE_SLACK_MS = 5000
/** A lease outlives two renewals that do not get through. */
const RENEWAL_MS = LONGEST_LEASE_MS / 3

type World = Pick<Ctx, 'gateOf' | 'newId' | 'now' | 'log' | 'defer'>

export type Passing = {
  provider: Provider
  /** What it is to the node; a plain chat unless told. */
  work?: NodeWork | undefined
  /** Who has the same has the same place; nobody has unless told. */
  seat?: string | undefined
  /** Where the work tells none. */
  priority?: Priority | undefined
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

/** Whether anybody counts the calls that a target has at once. */
export const isGated = ({ node, maxConcurrency }: Pick<Provider, 'node' | 'maxConcurrency'>): boolean =>
  node !== undefined || maxConcurrency !== undefined

/** By the id of the node or the account, as the gate's object is named. */
const gateId = ({ node, account, name }: Provider): string => node?.id ?? account?.id ?? name

function limitsOf({ node, maxConcurrency }: Provider): NodeLimits | undefined {
  if (node) return node.limits
  return maxConcurrency === undefined ? undefined : oneBound(maxConcurrency)
}

const oneBound = (limit: number): NodeLimits => ({
  chat: limit,
  embed: limit,
  vision: limit,
  audio: limit,
  gpu_workflows: limit,
  gpu_tasks: limit,
})

/**
 * Lets an attempt through the gate of its target, where that takes so many calls at once. Whoever gets in must leave,
 * and leaves at the latest when `signal` is aborted; who works for long keeps the place by renewing it, so that a caller
 * who dies does not. A gate that cannot be reached is open. Throws `UpstreamError('overloaded')` for whom there is no
 * place, and `aborted` for who has left meanwhile.
 */
export async function passGate(world: World, passing: Passing): Promise<Leave> {
  const { provider, leftMs, signal } = passing
  const limits = limitsOf(provider)
  if (!limits) return stay
  const gate = world.gateOf(gateId(provider))
  const ticket = world.newId('tkt')
  const left = Promise.withResolvers<void>()
  // Said now that there will be more to do: after the last byte of an answer it would be too late.
  world.defer(left.promise)
  let isOver = false
  let stopRenewing = stay
  const end = (leaving?: Promise<void>): void => {
    isOver = true
    stopRenewing()
    signal.removeEventListener('abort', leave)
    left.resolve(leaving)
  }
  const leave = (): void => {
    if (!isOver) end(gate.leave(ticket).catch((cause: unknown) => reportAway(world, provider, cause)))
  }
  signal.addEventListener('abort', leave)
  if (signal.aborted) leave()
  const entry = entryOf(passing, ticket, limits)
  const untilMs = world.now() + leftMs + LEASE_SLACK_MS
  const answer = await enter(world, gate, { provider, entry, isOver: () => isOver }).catch((error: unknown) => {
    leave()
    throw error
  })
  if (isOver) throw new UpstreamError('aborted', `The caller left before ${provider.name} was asked.`)
  if (answer.ok) {
    if (leftMs + LEASE_SLACK_MS > LONGEST_LEASE_MS) stopRenewing = renewing(world, gate, { provider, ticket, untilMs })
    return leave
  }
  end()
  const { retryAfterMs } = answer
  throw new UpstreamError('overloaded', `${provider.name} has as many calls as it takes.`, { retryAfterMs })
}

const entryOf = ({ work, seat, priority, leftMs, waits }: Passing, ticket: string, limits: NodeLimits): GateEntry => ({
  ticket,
  ...(seat !== undefined && { seat }),
  class: work?.class ?? 'chat',
  priority: work?.priority ?? priority ?? 'normal',
  limits,
  waitMs: waits ? longestWaitMs(leftMs) : 0,
  leaseMs: Math.min(leftMs + LEASE_SLACK_MS, LONGEST_LEASE_MS),
})

type Renewing = { provider: Provider; ticket: string; untilMs: number }

/** Renews the lease of a long call until its time is over, or until it is told to stop. */
function renewing(world: World, gate: Gate, { provider, ticket, untilMs }: Renewing): () => void {
  const renew = async (): Promise<void> => {
    const leaseMs = Math.min(untilMs - world.now(), LONGEST_LEASE_MS)
    if (leaseMs <= 0) return
    timer = setTimeout(renew, RENEWAL_MS)
    try {
      const isHeld = await gate.renew(ticket, leaseMs)
      if (!isHeld) world.log.warn('gate_place_lost', { provider: provider.name })
    } catch (cause) {
      reportAway(world, provider, cause)
    }
  }
  let timer = setTimeout(renew, RENEWAL_MS)
  return () => clearTimeout(timer)
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
