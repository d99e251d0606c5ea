import type { Ctx } from '../../core/context.ts'
import type { UpstreamError } from '../../core/models.ts'
import { retryRules } from '../../core/reliability.ts'
import { giveBackProbe, type Probe } from '../admission/service.ts'
import { type Barred, barredNow } from './breaker.ts'
import type { Plan, PlannedTarget } from './plan.ts'
import type { Next } from './retry.ts'
import { seenOf, takeRepeat } from './seen.ts'
import { breakerOf, type Target } from './target.ts'

export type FailedAttempt = { target: Target; error: UpstreamError }

/** A target of the plan that was out before its turn came. */
export type PassedOver = { target: Target; reason: Barred['reason']; retryAfterMs: number }

export type World = Pick<
  Ctx,
  | 'memory'
  | 'db'
  | 'redis'
  | 'log'
  | 'now'
  | 'newId'
  | 'random'
  | 'defer'
  | 'admission'
  | 'signal'
  | 'requestId'
  | 'startedMs'
  | 'arrival'
>

/** How far a call has come with its plan. */
export type Run = {
  targets: Plan['targets']
  failures: FailedAttempt[]
  passedOver: PassedOver[]
  /** Places of targets that this call may try, and of which nothing has come yet. */
  probes: Map<string, Probe>
  mostAttempts: number
  deadlineMs: number
}

export function beginRun(world: World, { targets }: Pick<Plan, 'targets'>, timeoutMs: number | undefined): Run {
  return {
    targets,
    failures: [],
    passedOver: [],
    probes: probesOf(world, targets),
    mostAttempts: Math.max(retryRules.attempts, targets.length) + spareCredentials(targets),
    deadlineMs: world.startedMs + (timeoutMs ?? Number.POSITIVE_INFINITY),
  }
}

/** The plan has no use for a target that the call might have tried. */
export function giveBackUnplanned(world: World, { targets }: Pick<Plan, 'targets'>): void {
  for (const [id, state] of world.admission.states ?? []) {
    if (state.kind === 'probe' && !targets.some(({ target }) => target.id === id)) giveBackProbe(world, state)
  }
}

/** Why the call must not ask that target any more, as far as is known beside what admission said. */
export const barredFor = (world: World, target: Target): Barred | undefined =>
  barredNow(world, breakerOf(target), world.admission.statesUnknown ? 0 : world.startedMs)

/** The first from there on that was not found to be out since the call was admitted. */
export function nextFrom(world: World, run: Run, from: number): number | undefined {
  for (let at = from; at < run.targets.length; at += 1) {
    const target = run.targets[at]?.target
    const barred = target && barredFor(world, target)
    if (!target || !barred) return at
    if (run.passedOver.some((one) => one.target.id === target.id)) continue
    run.passedOver.push({ target, reason: barred.reason, retryAfterMs: barred.untilMs - world.now() })
    world.arrival?.decision?.attempts.push({ target: target.id, outcome: barred.reason, duration_ms: 0 })
  }
  return undefined
}

/** Nothing else is left to be asked. */
export const isLast = (world: World, { targets }: Run, planned: PlannedTarget): boolean =>
  targets.slice(targets.indexOf(planned) + 1).every(({ target }) => barredFor(world, target) !== undefined)

/** When the same target may be asked again, Unix ms; undefined when it may not. */
export function repeatAt(
  world: World,
  { failures, deadlineMs }: Run,
  { target, next: { sameTargetAfterMs } }: { target: Target; next: Next },
): number | undefined {
  if (sameTargetAfterMs === undefined || isAskedOften(failures, target)) return undefined
  const nowMs = world.now()
  const id = breakerOf(target)
  const untilMs = Math.max(nowMs + sameTargetAfterMs, barredFor(world, target)?.untilMs ?? 0)
  if (untilMs >= deadlineMs || untilMs - nowMs > retryRules.longestBackoffMs) return undefined
  return takeRepeat(seenOf(world.memory, id, nowMs)) ? untilMs : undefined
}

function probesOf({ admission: { states } }: World, targets: Plan['targets']): Map<string, Probe> {
  const probes = new Map<string, Probe>()
  if (!states) return probes
  for (const { target } of targets) {
    const state = states.get(target.id)
    if (state?.kind === 'probe') probes.set(target.id, state)
  }
  return probes
}

export function takeProbe({ probes }: Run, { id }: Target): Probe | undefined {
  const probe = probes.get(id)
  if (probe) probes.delete(id)
  return probe
}

/** Attempts that a call may make beside the usual ones, each with a credential that none before it had. */
const spareCredentials = (targets: Plan['targets']): number =>
  targets.reduce((spare, { target }) => spare + Math.max(0, (target.provider.account?.usable() ?? 1) - 1), 0)

/** An account may be given fewer retries than a vendor of the installation gets. */
function isAskedOften(failures: readonly FailedAttempt[], { id, provider }: Target): boolean {
  const retries = provider.account?.maxRetries ?? retryRules.attempts
  return failures.filter(({ target }) => target.id === id).length > retries
}

export const isRepeated = (failures: readonly FailedAttempt[], { id }: Target): boolean =>
  failures.filter(({ target }) => target.id === id).length > 1
