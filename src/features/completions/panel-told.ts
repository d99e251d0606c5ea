import type { DecidedEnsemble, DecidedMember } from '../../core/ensemble.ts'
import type { ChatCompletion, Usage } from '../../core/models.ts'
import { usdFromNano } from '../../core/money.ts'
import { NO_USAGE, type PartOfCall } from '../ledger/service.ts'
import type { PanelCall } from './panel-call.ts'
import type { Member, PanelPlan, PanelResult } from './panel-run.ts'

/** Judged scores are from 0 to 1, the quality of a model from 0 to 10. */
const QUALITY_PER_SCORE = 10

/**
 * Every call of a panel, as the ledger books it. A target whose breaker opened in the meantime was not asked at all. What
 * a judge thought stays with the decision: it is the organisation's own, and what is told of targets is everybody's.
 */
export const partsOf = ({ members, helpers }: Pick<PanelResult, 'members' | 'helpers'>): PartOfCall[] =>
  booked([...members.flatMap(({ calls }) => calls), ...helpers]).map(partOf)

const booked = (calls: readonly PanelCall[]): PanelCall[] => calls.filter(({ ending }) => ending.attempts > 0)

const partOf = ({ requestId, startedMs, endedMs, ending, decision, taskType }: PartOfCall): PartOfCall => ({
  requestId,
  startedMs,
  endedMs,
  ending,
  decision,
  taskType,
})

/** The tokens and the cost of all calls together. */
export function totalOf({ members, helpers }: PanelResult): { usage: Usage; costNanoUsd: number; attempts: number } {
  const calls = [...members.flatMap((member) => member.calls), ...helpers]
  const usage = calls.reduce((sum, { ending }) => added(sum, ending.usage), NO_USAGE)
  const costNanoUsd = calls.reduce((sum, call) => sum + call.costNanoUsd, 0)
  return { usage, costNanoUsd, attempts: calls.reduce((sum, { ending }) => sum + ending.attempts, 0) }
}

const added = (one: Usage, other: Usage): Usage => ({
  prompt: one.prompt + other.prompt,
  cached: one.cached + other.cached,
  cacheWrite: one.cacheWrite + other.cacheWrite,
  completion: one.completion + other.completion,
  reasoning: one.reasoning + other.reasoning,
})

/** The answer that is given: one of the members', or what was merged of them; undefined where nobody has answered. */
export function givenIn({
  choice,
  voters,
  merged,
}: PanelResult): { completion: ChatCompletion; call: PanelCall } | undefined {
  if (merged) return merged
  const call = choice && voters[choice.winner]?.answered
  return call?.completion && { completion: call.completion, call }
}

/** What a decision keeps. */
export function decidedOf({ settings }: Pick<PanelPlan, 'settings'>, result: PanelResult): DecidedEnsemble {
  const { members, helpers, choice, merged } = result
  return {
    strategy: settings.strategy,
    voting_method: merged ? 'merge' : (choice?.votingMethod ?? null),
    agreement: choice?.agreement ?? null,
    members: members.map((member) => decidedMember(member, result)),
    helpers: helpers.map((call) => ({ ...factsOf([call]), role: call.role })),
  }
}

/** The same where no answer was given: nobody has won, whoever would have been chosen of too few. */
export const withoutChoice = (told: DecidedEnsemble): DecidedEnsemble => ({
  ...told,
  voting_method: null,
  members: told.members.map((member) => ({ ...member, won: false })),
})

function decidedMember(member: Member, { voters, choice, judged, merged }: PanelResult): DecidedMember {
  const at = voters.indexOf(member)
  const score = judged?.[at]
  return {
    ...factsOf(member.calls),
    outcome: member.answered ? 'ok' : (member.calls.at(-1)?.outcome ?? 'not_asked'),
    confidence: choice?.confidences[at] ?? null,
    score: choice?.scores[at] ?? null,
    quality: score === undefined ? null : score * QUALITY_PER_SCORE,
    won: !merged && at !== -1 && choice?.winner === at,
    calls: booked(member.calls).map(({ requestId }) => requestId),
  }
}

/** Of a member that was asked twice the time and the cost of both, and the last request id. */
function factsOf(calls: readonly PanelCall[]) {
  const last = calls.at(-1)
  return {
    target: last?.target.id ?? '',
    request_id: last?.requestId ?? '',
    outcome: last?.outcome ?? 'not_asked',
    cost_nanos: calls.reduce((sum, call) => sum + call.costNanoUsd, 0),
    latency_ms: calls.reduce((sum, call) => sum + Math.max(0, call.endedMs - call.startedMs), 0),
  }
}

/** What the caller is told of how the answer came about, as `ensemble` of a completion. */
export function toldOf(plan: Pick<PanelPlan, 'settings' | 'judge'>, result: PanelResult): Record<string, unknown> {
  const { choice, voters, merged, helpers, judged } = result
  const given = givenIn(result)
  const { members, voting_method, agreement } = decidedOf(plan, result)
  const nameOf = namesOf(members)
  const score = merged ? merged.score : choice?.scores[choice.winner]
  return {
    voting_method,
    responses_count: voters.length,
    scores: Object.fromEntries(members.flatMap((one, at) => (one.score === null ? [] : [[nameOf(at), one.score]]))),
    selected_provider: given?.call.target.provider.name ?? null,
    selected_model: given?.call.target.model ?? null,
    selection_score: score ?? null,
    metadata: {
      strategy: plan.settings.strategy,
      mode: plan.settings.isSequential ? 'sequential' : 'parallel',
      agreement,
      fallback: merged ? null : fallbackOf(plan, result),
      members_asked: members.length,
      calls: result.members.reduce((sum, { calls }) => sum + calls.length, helpers.length),
      judge: judged ? (plan.judge?.id ?? null) : null,
    },
    members: members.map((member, at) => ({
      provider: providerIn(member.target),
      model: member.target.slice(providerIn(member.target).length + 1),
      request_id: member.request_id,
      outcome: member.outcome,
      confidence: member.confidence,
      score: member.score,
      ...(member.quality !== null && { quality: member.quality }),
      cost_usd: usdFromNano(member.cost_nanos),
      latency_ms: member.latency_ms,
      selected: member.won || (merged?.sources.some((source) => voters[source] === result.members[at]) ?? false),
    })),
    ...(merged && { sources: merged.sources.map((source) => voters[source]?.answered?.target.id ?? '') }),
  }
}

/** A merged answer that was judged to be worse than the best single one was not given. */
const fallbackOf = ({ settings }: Pick<PanelPlan, 'settings'>, { choice, merged }: PanelResult): string | null =>
  choice?.fallback ?? (settings.strategy === 'merge' && !merged ? 'merge_not_better' : null)

const providerIn = (target: string): string => target.slice(0, target.indexOf('/'))

/** A target that is a member twice is told apart by a number behind its name. */
function namesOf(members: readonly { target: string }[]): (at: number) => string {
  return (at) => {
    const { target = '' } = members[at] ?? {}
    const before = members.slice(0, at).filter((one) => one.target === target).length
    return before === 0 ? target : `${target}#${before + 1}`
  }
}
