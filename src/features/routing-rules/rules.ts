import { nanoFromUsd, usdFromNano } from '../../core/money.ts'
import type { Caps, Experiment, PolicyTarget } from '../../core/routing.ts'
import type { RulesBody } from './rules-schema.ts'
import type { RulesView } from './schema.ts'
import type { RoutingRules } from './table.ts'

const nanos = (usd: number | undefined) => (usd === undefined ? undefined : nanoFromUsd(usd))
const usd = (nanoUsd: number | undefined) => (nanoUsd === undefined ? undefined : usdFromNano(nanoUsd))

/** What a body says, as it is kept. An experiment that has no id gets this one. */
export function rulesOf(body: RulesBody, experimentId: string): RoutingRules {
  const { strategy, targets, fallbacks, caps, default_model, cache, bandit, experiment } = body
  return {
    strategy,
    targets: targets.map(targetOf),
    fallbacks,
    ...(caps && { caps: mapFields(caps, capsOf) }),
    ...(default_model !== null && { defaultModel: default_model }),
    ...(cache && { cache: { mode: cache.mode, ttlSeconds: cache.ttl_seconds, scope: cache.scope } }),
    ...(bandit && { bandit }),
    ...(experiment && { experiment: { ...experiment, id: experiment.id ?? experimentId } satisfies Experiment }),
  }
}

const targetOf = ({
  max_cost_per_token_usd: perToken,
  max_cost_per_request_usd: perRequest,
  timeout_ms: timeoutMs,
  ...target
}: RulesBody['targets'][number]): PolicyTarget => ({
  ...target,
  maxCostPerTokenNanoUsd: nanos(perToken),
  maxCostPerRequestNanoUsd: nanos(perRequest),
  timeoutMs,
})

type CapsBody = {
  max_cost_usd?: number | undefined
  max_latency_ms?: number | undefined
  min_quality?: number | undefined
}

const capsOf = ({ max_cost_usd, max_latency_ms: maxLatencyMs, min_quality: minQuality }: CapsBody): Caps => ({
  maxCostNanoUsd: nanos(max_cost_usd),
  maxLatencyMs,
  minQuality,
})

/** Always in the same order of fields: what is equal is shown as the same text. */
export const viewOfRules = (rules: RoutingRules): RulesView => ({
  strategy: rules.strategy,
  targets: rules.targets.map((target) => ({
    provider: target.provider,
    model: target.model,
    priority: target.priority,
    weight: target.weight,
    max_cost_per_token_usd: usd(target.maxCostPerTokenNanoUsd),
    max_cost_per_request_usd: usd(target.maxCostPerRequestNanoUsd),
    timeout_ms: target.timeoutMs,
  })),
  fallbacks: mapFields(rules.fallbacks, (names) => [...names]),
  caps: rules.caps
    ? mapFields(rules.caps, ({ maxCostNanoUsd, maxLatencyMs, minQuality }) => ({
        max_cost_usd: usd(maxCostNanoUsd),
        max_latency_ms: maxLatencyMs,
        min_quality: minQuality,
      }))
    : null,
  default_model: rules.defaultModel ?? null,
  cache: rules.cache ? { mode: rules.cache.mode, ttl_seconds: rules.cache.ttlSeconds, scope: rules.cache.scope } : null,
  bandit: rules.bandit ? { epsilon: rules.bandit.epsilon } : null,
  experiment: rules.experiment
    ? {
        id: rules.experiment.id,
        unit: rules.experiment.unit,
        variants: rules.experiment.variants.map(({ name, weight, model, strategy }) => ({
          name,
          weight,
          model,
          strategy,
        })),
      }
    : null,
})

/** Whether two versions say the same. */
export const saysSame = (one: RoutingRules, other: RoutingRules): boolean =>
  JSON.stringify(viewOfRules(one)) === JSON.stringify(viewOfRules(other))

/** By name in alphabetical order: Postgres keeps the fields of JSON in an order of its own. */
const mapFields = <T, R>(fields: Readonly<Record<string, T | undefined>>, map: (value: T) => R): Record<string, R> =>
  Object.fromEntries(
    Object.entries(fields)
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
      .flatMap(([name, value]) => (value === undefined ? [] : [[name, map(value)]])),
  )
