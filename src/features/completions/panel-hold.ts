import { type EnsembleSettings, JUDGE_PASSES } from '../ensembles/service.ts'
import type { Target } from '../routing/service.ts'
import { costBound } from './ask.ts'
import { bytesOf, judgeAsked, mergeAsked, secondAsked } from './panel-bodies.ts'
import type { Panel } from './panel-members.ts'
import { type Asked, inputBound, outputBound } from './request.ts'

type Held = { asked: Asked; settings: EnsembleSettings; panel: Pick<Panel, 'judge'> }

/** The most that these members and their judge can cost together; undefined where the worst case of one is not known. */
export function panelBound(members: readonly Target[], { asked, settings, panel }: Held): number | undefined {
  const bytes = bytesOf(asked, members)
  const answers = members.map(() => 'x'.repeat(bytes))
  const costs = members.map((member) => callBound(asked, member))
  if (settings.strategy === 'round') {
    const [own = '', ...others] = answers
    costs.push(...members.map((member) => callBound(secondAsked(asked, { own, others, bytes }), member)))
  }
  const { judge } = panel
  if (judge) {
    const merged = settings.strategy === 'merge'
    if (merged) costs.push(callBound(mergeAsked(asked, judge, { texts: answers, bytes }), judge))
    const read = merged ? [...answers, 'x'.repeat(bytes)] : answers
    const pass = callBound(judgeAsked(asked, judge, { texts: read, bytes }), judge)
    costs.push(...Array.from({ length: JUDGE_PASSES }, () => pass))
  }
  let total = 0
  for (const cost of costs) {
    if (cost === undefined) return undefined
    total += cost
  }
  return total
}

/** The worst case of one call, in one piece. */
function callBound(asked: Asked, target: Target): number | undefined {
  const input = target.price && inputBound(asked, target)
  return input === undefined ? undefined : costBound(target, input, outputBound(asked, target))
}

/** Of all who may be asked those who would cost most together: whoever of them are asked in the end, it is enough. */
export function dearest(candidates: readonly Target[], asked: Asked, most: number): Target[] {
  const cost = (target: Target): number => callBound(asked, target) ?? Number.POSITIVE_INFINITY
  return candidates.toSorted((one, other) => cost(other) - cost(one)).slice(0, most)
}

/**
 * The first of these members whose worst case is held. That was worked out a moment ago, from what was known then: a node
 * may have gone since, and a vendor come in its place. `heldNanoUsd` is undefined where no money has to be held.
 */
export function covered(
  members: readonly Target[],
  heldNanoUsd: number | undefined,
  boundOf: (members: readonly Target[]) => number | undefined,
): readonly Target[] {
  if (heldNanoUsd === undefined) return members
  let some = members
  while (some.length > 0 && (boundOf(some) ?? Number.POSITIVE_INFINITY) > heldNanoUsd) some = some.slice(0, -1)
  return some
}
