import type { Ctx } from '../../core/context.ts'
import type { ChatCompletion, StreamPart } from '../../core/models.ts'
import type { TaskType } from '../../core/tasks.ts'
import {
  agreementOf,
  type Choice,
  choose,
  type EnsembleSettings,
  isDecided,
  JUDGE_PASSES,
  type MemberAnswer,
  type Pass,
  readMerged,
  readReliability,
  readVerdict,
  shuffled,
  sureEnough,
  textOf,
  tokenProbabilityOf,
  verdictOf,
} from '../ensembles/service.ts'
import type { Target } from '../routing/service.ts'
import { bytesOf, judgeAsked, memberAsked, mergeAsked, secondAsked } from './panel-bodies.ts'
import { callTarget, type PanelCall } from './panel-call.ts'
import type { Asked } from './request.ts'

/** Who answers a call together, and how. */
export type PanelPlan = {
  asked: Asked
  settings: EnsembleSettings
  members: readonly Target[]
  judge: Target | undefined
  taskType: TaskType
  /** Aborted when the caller hangs up. */
  signal: AbortSignal
  /** Told of what members stream, by their place. */
  onParts?: ((member: number, parts: readonly StreamPart[]) => void) | undefined
}

/** A member with every call that it was asked, and its last answer; undefined where it has none. */
export type Member = { calls: readonly PanelCall[]; answered: PanelCall | undefined }

export type PanelResult = {
  /** In the order in which they were asked; in a sequence those behind the last are not among them. */
  members: readonly Member[]
  helpers: readonly (PanelCall & { role: 'judge' | 'merge' })[]
  /** Undefined when nobody has answered. */
  choice: Choice | undefined
  /** Members who answered, in the order in which the choice has them. */
  voters: readonly Member[]
  /** What the judge gave, by voter, 0 to 1. */
  judged: readonly number[] | undefined
  /** Set where the answer was merged of several: it was judged as good as the best single one. */
  merged: { completion: ChatCompletion; call: PanelCall; sources: readonly number[]; score: number } | undefined
}

/** Asks the members, has their answers judged where that is wanted, and chooses. */
export async function runPanel(ctx: Ctx, plan: PanelPlan): Promise<PanelResult> {
  const { orgId } = ctx.admission.policy
  const targets = plan.members.map(({ id }) => id)
  const reading = readReliability(ctx, { orgId, taskType: plan.taskType, targets })
  const first = plan.settings.isSequential ? await askInTurn(ctx, plan, reading) : await askAll(ctx, plan)
  const members = plan.settings.strategy === 'round' ? await askAgain(ctx, plan, first) : first
  const reliability = await reading
  const voters = members.filter(({ answered }) => answered)
  const answers = answersOf(voters, reliability)
  const verdict = await judge(ctx, plan, { voters, answers })
  const choice = choose({
    answers,
    settings: plan.settings,
    members: plan.members.length,
    judged: verdict.judged,
  })
  return { members, voters, choice, ...verdict }
}

/** What is left of the time that the caller gives the whole, and that a round may take. */
function roundMs({ now, startedMs }: Ctx, { asked, settings }: PanelPlan): number {
  const leftMs = startedMs + (asked.timeoutMs ?? Number.POSITIVE_INFINITY) - now()
  return Math.max(1, Math.min(settings.timeoutMs, leftMs))
}

const asMember = (call: PanelCall): Member => ({ calls: [call], answered: call.completion && call })

function askAll(ctx: Ctx, plan: PanelPlan): Promise<Member[]> {
  const { onParts, taskType, signal } = plan
  const asked = memberAsked(plan.asked)
  const timeoutMs = roundMs(ctx, plan)
  return Promise.all(
    plan.members.map(async (target, member) => {
      const told = onParts && ((parts: readonly StreamPart[]) => onParts(member, parts))
      return asMember(await callTarget(ctx, { target, asked, signal, timeoutMs, taskType, onParts: told }))
    }),
  )
}

/** One after another, in no more than twice the time of one, until the rest cannot change what comes out. */
async function askInTurn(ctx: Ctx, plan: PanelPlan, reading: Promise<ReadonlyMap<string, number>>): Promise<Member[]> {
  const { settings, taskType, signal } = plan
  const asked = memberAsked(plan.asked)
  const reliability = await reading
  const untilMs = ctx.now() + 2 * settings.timeoutMs
  const members: Member[] = []
  for (const target of plan.members) {
    if (signal.aborted || (members.length > 0 && ctx.now() >= untilMs)) break
    const timeoutMs = Math.max(1, Math.min(roundMs(ctx, plan), untilMs - ctx.now()))
    members.push(asMember(await callTarget(ctx, { target, asked, signal, timeoutMs, taskType })))
    if (isEnough(members, plan, reliability)) break
  }
  return members
}

function isEnough(members: readonly Member[], plan: PanelPlan, reliability: ReadonlyMap<string, number>): boolean {
  const { strategy, threshold } = plan.settings
  if (strategy !== 'majority' && strategy !== 'cascade') return false
  const voters = members.filter(({ answered }) => answered)
  const { clusters, confidences } = agreementOf(answersOf(voters, reliability))
  if (strategy === 'cascade') return sureEnough(confidences, threshold) !== undefined
  return voters.length >= plan.settings.least && isDecided({ members: plan.members.length, clusters })
}

/** The second round: everybody who has answered sees what the others said. Who fails now stays with the first answer. */
async function askAgain(ctx: Ctx, plan: PanelPlan, first: readonly Member[]): Promise<Member[]> {
  const texts = first.map(({ answered }) => answered?.completion && textOf(answered.completion))
  if (texts.filter((text) => text !== undefined).length < 2) return [...first]
  const { taskType, signal } = plan
  const bytes = bytesOf(plan.asked, plan.members)
  const timeoutMs = roundMs(ctx, plan)
  return Promise.all(
    first.map(async (member, at): Promise<Member> => {
      const [own, before] = [texts[at], member.answered]
      if (own === undefined || !before) return member
      const others = texts.flatMap((text, other) => (other === at || text === undefined ? [] : [text]))
      const asked = secondAsked(plan.asked, { own, others, bytes })
      const call = await callTarget(ctx, { target: before.target, asked, signal, timeoutMs, taskType })
      return { calls: [...member.calls, call], answered: call.completion ? call : before }
    }),
  )
}

/** A member's time and cost are of all its calls; its words are those of the last. */
function answersOf(voters: readonly Member[], reliability: ReadonlyMap<string, number>): MemberAnswer[] {
  return voters.flatMap(({ calls, answered }) => {
    const completion = answered?.completion
    if (!answered || !completion) return []
    return {
      provider: answered.target.provider.name,
      text: textOf(completion),
      finishReason: completion.choices[0]?.finish_reason ?? null,
      latencyMs: calls.reduce((sum, call) => sum + call.endedMs - call.startedMs, 0),
      completionTokens: answered.ending.usage.completion,
      costNanoUsd: calls.reduce((sum, call) => sum + call.costNanoUsd, 0),
      tokenProbability: tokenProbabilityOf(completion),
      reliability: reliability.get(answered.target.id) ?? 0.5,
    }
  })
}

type Judging = { voters: readonly Member[]; answers: readonly MemberAnswer[] }
type Verdict = Pick<PanelResult, 'helpers' | 'judged' | 'merged'>

/** Two passes of the judge over the answers, and over one that it merged of them where that is wanted. */
async function judge(ctx: Ctx, plan: PanelPlan, { voters, answers }: Judging): Promise<Verdict> {
  const { judge: target, settings } = plan
  const none: Verdict = { helpers: [], judged: undefined, merged: undefined }
  if (!target || voters.length < Math.max(2, settings.least) || plan.signal.aborted) return none
  const bytes = bytesOf(plan.asked, plan.members)
  const texts = answers.map(({ text }) => text)
  const merging = settings.strategy === 'merge' ? await merge(ctx, plan, { target, texts, bytes }) : undefined
  const read = merging?.answer ? [...texts, merging.answer.text] : texts
  const timeoutMs = roundMs(ctx, plan)
  const passes = await Promise.all(
    Array.from({ length: JUDGE_PASSES }, async (): Promise<Pass & { call: PanelCall }> => {
      const order = shuffled(read.length, ctx.random)
      const asked = judgeAsked(plan.asked, target, { texts: order.map((at) => read[at] ?? ''), bytes })
      const call = await callTarget(ctx, { target, asked, signal: plan.signal, timeoutMs })
      const scores = call.completion && readVerdict(textOf(call.completion), read.length)
      return { order, scores, call }
    }),
  )
  const all = verdictOf(passes, read.length)
  const helpers = [
    ...(merging ? [{ ...merging.call, role: 'merge' as const }] : []),
    ...passes.map(({ call }) => ({ ...call, role: 'judge' as const })),
  ]
  const judged = all?.slice(0, texts.length)
  const score = all?.[texts.length]
  const isBest = score !== undefined && score >= Math.max(...(judged ?? [1]))
  const merged = merging?.answer && isBest ? { ...merging.answer, call: merging.call, score } : undefined
  return { helpers, judged, merged }
}

type Merging = { target: Target; texts: readonly string[]; bytes: number }

async function merge(ctx: Ctx, plan: PanelPlan, { target, texts, bytes }: Merging) {
  const asked = mergeAsked(plan.asked, target, { texts, bytes })
  const call = await callTarget(ctx, { target, asked, signal: plan.signal, timeoutMs: roundMs(ctx, plan) })
  const read = call.completion && readMerged(textOf(call.completion), texts.length)
  const [choice] = call.completion?.choices ?? []
  if (!read || !call.completion || !choice) return { call, answer: undefined }
  const message = { role: 'assistant', content: read.text }
  const completion = { ...call.completion, choices: [{ index: 0, message, finish_reason: choice.finish_reason }] }
  return { call, answer: { ...read, completion } }
}
