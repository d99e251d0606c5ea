import type { Admission, Ask } from '../../core/admission.ts'
import type { Deps } from '../../core/context.ts'
import { DependencyError } from '../../core/errors.ts'
import { readFigures } from '../../core/figures.ts'
import type { HoldRequest } from '../../core/ledger.ts'
import type { Figures, TargetState } from '../../core/routing.ts'
import { holdsMoney } from './holding.ts'
import { noteTarget } from './note-script.ts'
import type { ToldFigures } from './script-call.ts'

type States = NonNullable<Admission['states']>

/** What stands in the way of each target, as an admission tells it. */
export function statesByTarget(
  { candidates }: Pick<Ask, 'candidates'>,
  told: readonly (TargetState | undefined)[],
): { openBreakers: Admission['openBreakers']; states: States | undefined } {
  const openBreakers = new Map<string, number>()
  let states: Map<string, Exclude<TargetState, { kind: 'open' }>> | undefined
  for (const [at, state] of told.entries()) {
    const target = candidates[at]
    if (!state || target === undefined) continue
    if (state.kind === 'open') openBreakers.set(target, state.untilMs)
    else {
      states ??= new Map()
      states.set(target, state)
    }
  }
  return { openBreakers, states }
}

const UNKNOWN: Figures = {
  calls: 0,
  latencyMs: undefined,
  latencyP95Ms: undefined,
  ttftMs: undefined,
  tokensPerSecond: undefined,
  errorRate: 0,
  outputTokens: undefined,
}

/** What was measured of the targets; undefined where nothing was asked. */
export function figuresByTarget(
  { candidates }: Pick<Ask, 'candidates'>,
  told: readonly ToldFigures[] | undefined,
  nowMs: number,
): ReadonlyMap<string, Figures> | undefined {
  if (!told) return undefined
  const known = new Map<string, Figures>()
  for (const [at, { figures, output, inFlight }] of told.entries()) {
    const target = candidates[at]
    const read = figures === null ? undefined : readFigures(figures, output, nowMs)
    if (target === undefined || (!read && inFlight === undefined)) continue
    known.set(target, { ...(read ?? UNKNOWN), inFlight })
  }
  return known
}

/** What money is held, and in which budgets. */
export const heldAmount = (
  hold: HoldRequest | undefined,
  isHeld: boolean,
): Pick<Admission, 'heldNanoUsd' | 'heldBudgets'> =>
  hold && isHeld && holdsMoney(hold)
    ? { heldNanoUsd: hold.amountNanoUsd, heldBudgets: hold.budgets.map(({ id }) => id) }
    : {}

/** The place of a call that tries a target which was out. */
export type Probe = Extract<TargetState, { kind: 'probe' }>

type World = Pick<Deps, 'redis' | 'now'> & { defer: (work: Promise<unknown>) => void }

/** The call will not try what it might have tried: somebody else may. Twice is the same as once. */
export function giveBackProbes(world: World, { states }: Pick<Admission, 'states'>): void {
  for (const state of states?.values() ?? []) if (state.kind === 'probe') giveBackProbe(world, state)
}

/** The same of one target. Without Redis its place is free again in a minute. */
export function giveBackProbe(world: World, probe: Probe): void {
  const free = { what: 'free', nowMs: world.now(), probe, random: 0 } as const
  world.defer(
    noteTarget(world.redis, probe.id, free).catch((error: unknown) => {
      if (!(error instanceof DependencyError)) throw error
    }),
  )
}
