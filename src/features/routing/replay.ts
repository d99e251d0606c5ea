import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { DependencyError, unfit } from '../../core/errors.ts'
import { usdFromNano } from '../../core/money.ts'
import type { Figures, RoutingPolicy } from '../../core/routing.ts'
import { readRoutingPolicy, rulesOf } from '../routing-rules/service.ts'
import { isAuto } from './auto.ts'
import { openCandidates } from './candidates.ts'
import { createJudge, isReproduced, type Judge, type OwnChoice } from './counterfactual.ts'
import { readLive } from './live.ts'
import { effectiveSize, estimate, type Sample } from './off-policy.ts'
import { type LoggedRow, readDecisions } from './replay-rows.ts'
import type { Replayed, ReplayRequest } from './replay-schema.ts'
import { readInputs } from './stored-inputs.ts'
import { breakerOf, type Target } from './target.ts'

const WEEK_SECONDS = 7 * 86_400
const MOST_DECISIONS = 10_000
const MOST_NAMED = 100

/**
 * What a policy would have come to, told from decisions of the past, and whether these are what they came of. Throws 404
 * for a policy that the organisation does not have, and 422.
 */
export async function replay(ctx: Ctx, request: ReplayRequest): Promise<Replayed> {
  const to = request.to ?? nowSeconds(ctx)
  const from = request.from ?? to - WEEK_SECONDS
  if (from >= to || to - from > WEEK_SECONDS) throw unfit('from', 'must be before `to`, by a week at the most')
  const routing = await policyOf(ctx, request)
  const judge = createJudge(ctx, routing, await figuresFor(ctx, routing))
  const report = createReport(judge)
  let truncated = false
  // One more than is replayed tells whether there are more.
  for await (const row of readDecisions(ctx, { from, to, most: MOST_DECISIONS + 1 })) {
    truncated = report.decisions() === MOST_DECISIONS
    if (truncated) break
    report.add(row)
  }
  return { object: 'routing_replay', from, to, truncated, ...report.tell() }
}

async function policyOf(ctx: Ctx, { policy_id, policy }: ReplayRequest): Promise<RoutingPolicy> {
  if (policy) return { ...rulesOf(policy, 'replay'), id: 'replay', version: 0 }
  const { rules, id, version } = await readRoutingPolicy(ctx, policy_id ?? '')
  return { ...rules, id, version }
}

/** How the targets are now that the policy may choose; nothing is known of them while Redis is away. */
async function figuresFor(ctx: Ctx, routing: RoutingPolicy): Promise<(target: Target) => Figures | undefined> {
  const rights = { allowedModels: undefined, mode: 'live', routing } as const
  const { candidates } = openCandidates(ctx, rights, { wanted: { model: 'auto', kind: 'chat' }, strategy: 'smart' })
  const ids = [...new Set(candidates.map(({ target }) => breakerOf(target)))]
  try {
    const live = await readLive(ctx, ids)
    const figures = new Map(ids.map((id, at) => [id, live[at]?.figures]))
    return (target) => figures.get(breakerOf(target))
  } catch (error) {
    if (!(error instanceof DependencyError)) throw error
    return () => undefined
  }
}

type Figure = 'cost_usd' | 'latency_ms' | 'quality' | 'success'

function createReport(judge: Judge) {
  let decisions = 0
  let reproduced = 0
  let unsupported = 0
  const notReproduced: string[] = []
  const weights: number[] = []
  const samples: Record<Figure, Sample[]> = { cost_usd: [], latency_ms: [], quality: [], success: [] }

  function evaluate(own: OwnChoice): void {
    const { row } = own
    const judged = judge(own)
    const { weight } = judged
    weights.push(weight)
    unsupported += judged.unsupported
    const note = (figure: Figure, value: number | undefined | null): void => {
      if (value !== undefined && value !== null) samples[figure].push({ weight, value })
    }
    note('cost_usd', row.cost_nanos === null ? null : usdFromNano(row.cost_nanos))
    note('latency_ms', row.latency_ms)
    note('quality', judged.quality)
    note('success', Number(row.outcome === 'ok'))
  }

  return {
    decisions: () => decisions,
    add(row: LoggedRow): void {
      decisions += 1
      const inputs = readInputs(row.inputs)
      if (inputs && isReproduced(row, inputs)) reproduced += 1
      else if (notReproduced.length < MOST_NAMED) notReproduced.push(row.id)
      const own = inputs && ownChoice(row, inputs)
      if (own) evaluate(own)
    },
    tell: () => ({
      decisions,
      reproduced,
      not_reproduced: notReproduced,
      evaluated: weights.length,
      effective_sample_size: effectiveSize(weights),
      unsupported_share: weights.length === 0 ? null : unsupported / weights.length,
      cost_usd: toldOf(samples.cost_usd),
      latency_ms: toldOf(samples.latency_ms),
      quality: toldOf(samples.quality),
      success: toldOf(samples.success),
    }),
  }
}

/** A call that was ours to route, and that a target was asked for: no kept answer, and no panel. */
function ownChoice(row: LoggedRow, inputs: OwnChoice['inputs']): OwnChoice | undefined {
  const { propensity, asked_model, cache, ensemble, cost_nanos } = row
  const isOurs = isAuto(asked_model) && cache !== 'exact' && ensemble === null && cost_nanos !== null
  return isOurs && propensity ? { row, inputs, propensity } : undefined
}

function toldOf(samples: readonly Sample[]): Replayed['cost_usd'] {
  const made = estimate(samples)
  if (!made) return null
  const logged = samples.reduce((sum, { value }) => sum + value, 0) / samples.length
  return { count: samples.length, logged, ...made }
}
