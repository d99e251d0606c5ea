import type { Ask, Policy } from '../../core/admission.ts'
import type { Deps } from '../../core/context.ts'
import { asksJudge, type EnsembleSettings, JUDGE_PASSES, settingsOf } from '../ensembles/service.ts'
import { candidatesOf, holdOf, knowsNodes, learnNodes, type Target } from '../routing/service.ts'
import { roundsOf } from './panel-bodies.ts'
import { dearest, panelBound } from './panel-hold.ts'
import { panelFor } from './panel-members.ts'
import { type Asked, expectedTokens } from './request.ts'

/** How the members of a call answer together, by the call and by its organisation. */
export const panelSettings = (policy: Pick<Policy, 'ensemble'>, { ensemble = {}, stream }: Asked): EnsembleSettings =>
  settingsOf(ensemble, policy.ensemble, { isStream: stream })

/** What a call of several models asks of admission: the tokens of all of them, and the worst case of the whole panel. */
export async function askPanel(deps: Deps, policy: Policy, asked: Asked): Promise<Ask> {
  if (!knowsNodes(deps)) await learnNodes(deps)
  const settings = panelSettings(policy, asked)
  const panel = panelFor(deps, policy, { asked, settings })
  const members = dearest(panel.candidates, asked, settings.most)
  const targets = everybody(panel)
  const limited = policy.limits.some((limit) => limit.metric === 'tokens')
  const bound = panelBound(members, { asked, settings, panel })
  const hold = holdOf(deps, { ...asked, policy, targets }, () => bound)
  return {
    tokens: limited ? expectedTokens(asked) * callsOf(members.length, settings) : 0,
    ...candidatesOf(targets),
    hold: hold && { ...hold, deadlineMs: deps.now() + longestMs(settings, asked) },
  }
}

/** Every target of a panel, each once. */
export const everybody = ({
  candidates,
  judge,
}: {
  candidates: readonly Target[]
  judge: Target | undefined
}): Target[] => [...new Map([...candidates, ...(judge ? [judge] : [])].map((target) => [target.id, target])).values()]

/** Calls that a panel makes at the most. */
function callsOf(members: number, settings: EnsembleSettings): number {
  const again = settings.strategy === 'round' ? members : 0
  const judged = asksJudge(settings) ? JUDGE_PASSES : 0
  return members + again + judged + (settings.strategy === 'merge' ? 1 : 0)
}

const longestMs = (settings: EnsembleSettings, { timeoutMs = Number.POSITIVE_INFINITY }: Asked): number =>
  Math.min(timeoutMs, roundsOf(settings) * settings.timeoutMs)
