import { AppError } from '../../core/errors.ts'
import type { Candidate } from './candidates.ts'
import { nowhere, obstacleOf } from './standing.ts'
import { type Weighing, type Weighted, weigh } from './weigh.ts'

/** What a call says of its caps, by the reason that a target is left out for. */
const CAP_FIELDS: ReadonlyMap<string, string> = new Map([
  ['over_max_cost', 'helix.routing.max_cost_usd'],
  ['over_max_latency', 'helix.routing.max_latency_ms'],
  ['below_min_quality', 'helix.routing.min_quality'],
])
const OVER_POLICY = 'over_policy_cost'
const NOTHING_OUT: ReadonlyMap<string, number> = new Map()

/** Why nothing that might have been chosen can be. */
export function unplanned(model: string, weighing: Weighing, { arrangement, obstacles }: Weighted): AppError {
  const { standing } = weighing
  // What fits but for how it stands now may fit again.
  if (obstacles.length > 0 && weigh(hadTheyBeenWell(weighing)).plan.targets.length > 0) {
    return nowhere(model, obstacles, standing.nowMs)
  }
  const reasons = new Set(arrangement.excluded.map(({ reason }) => reason))
  const caps = [...CAP_FIELDS.keys(), OVER_POLICY].filter((reason) => reasons.has(reason))
  if (caps.length > 0) return outOfCaps(caps)
  if (reasons.has('hold_too_small')) {
    return new AppError('insufficient_quota', 'The budget has no room for any of the targets that are left.')
  }
  if (reasons.has('cost_unknown')) {
    const message = 'The cost of none of the targets is known beforehand, so it cannot be held against a hard budget.'
    return new AppError('invalid_request', message, { param: 'model' })
  }
  const missing = [...reasons].find((reason) => reason.startsWith('lacks_'))
  if (missing === undefined && reasons.has('window_too_small')) {
    return new AppError('invalid_request', 'No model reads as much as this request and its answer come to.', {
      param: 'messages',
      wireCode: 'context_length_exceeded',
    })
  }
  return new AppError('no_capable_model', 'No configured model can do what this request needs.', {
    param: 'model',
    details: { capability: missing?.slice('lacks_'.length) ?? 'completion' },
  })
}

/** Names the caps that nothing keeps: fields of the call, or what the routing policy lets a target cost. */
function outOfCaps(caps: readonly string[]): AppError {
  const fields = caps.flatMap((cap) => CAP_FIELDS.get(cap) ?? [])
  const places = [...fields, ...(caps.includes(OVER_POLICY) ? ['what the routing policy lets a target cost'] : [])]
  return new AppError('no_target_within_caps', `No target keeps ${places.join(' and ')}.`, {
    param: fields[0] ?? 'model',
    details: { caps },
  })
}

/** Nothing stands in the way of a target, nor that no money was held for one that something stood in the way of. */
function hadTheyBeenWell({ choice, standing, unpaid, ...weighing }: Weighing): Weighing {
  const isOut = ({ target, name }: Candidate): boolean =>
    obstacleOf(target, standing, name === undefined ? [] : [name]) !== undefined
  const out = new Set(choice.candidates.filter(isOut).map(({ target }) => target))
  return {
    ...weighing,
    choice,
    standing: { openBreakers: NOTHING_OUT, nowMs: standing.nowMs },
    unpaid: (target) => {
      const reason = unpaid(target)
      return reason === 'hold_too_small' && out.has(target) ? undefined : reason
    },
  }
}
