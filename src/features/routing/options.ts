import * as z from 'zod'
import { LABEL } from '../../core/ids.ts'
import { nanoFromUsd } from '../../core/money.ts'
import { type Caps, type Complexity, complexities, priorities, type Strategy } from '../../core/routing.ts'
import { taskTypes } from '../../core/tasks.ts'
import { strategyNames, strategyOf } from './auto.ts'

const StrategyName = z.enum(strategyNames)

/** More than any request costs. */
const MOST_USD = 1_000_000

/** How a call is to be routed: by what, and within which caps. 0 is a cap of nothing. */
const RoutingOptions = z.strictObject({
  strategy: StrategyName.optional(),
  max_cost_usd: z.number().min(0).max(MOST_USD).optional(),
  max_latency_ms: z.number().min(0).max(600_000).optional(),
  min_quality: z.number().min(0).max(10).optional(),
  /** In place of what the request looks like. */
  task_complexity: z.enum(complexities).optional(),
  /** The most time an attempt may take. */
  timeout_ms: z.int().min(1000).max(600_000).optional(),
  /** A target that did not answer in time may be followed by another, though both may have to be paid. */
  allow_double_cost: z.boolean().optional(),
})

/**
 * What a caller of a model may ask of Helix itself, beside the model. Unknown names are refused: a typing error must
 * not pass.
 */
export const HelixOptions = z.strictObject({
  provider: z.string().min(1).max(64).optional(),
  fallback_models: z.array(z.string().min(1).max(255)).max(5).optional(),
  strict: z.boolean().optional(),
  /** The most time the whole call may take, all its attempts together. */
  timeout_ms: z.int().min(1000).max(600_000).optional(),
  /** The run that the call is part of: it must have a budget. */
  run_id: z.string().regex(LABEL).optional(),
  /** Who goes first where calls have to wait for a place; `normal` unless said. */
  priority: z.enum(priorities).optional(),
  routing: z.union([StrategyName, RoutingOptions]).optional(),
  /** What the call is for. */
  task_type: z.enum(taskTypes).optional(),
})

/** What a caller wishes of the routing of a call. */
export type RoutingWish = {
  strategy?: Strategy | undefined
  /** Nothing beyond them is tried. */
  caps?: Caps | undefined
  complexity?: Complexity | undefined
  timeoutMs?: number | undefined
  allowDoubleCost?: boolean | undefined
}

/** Undefined where nothing is wished. Absent caps are not there at all: one of 0 is another thing. */
export function wishOf(options: z.infer<typeof HelixOptions>['routing']): RoutingWish | undefined {
  if (options === undefined) return undefined
  if (typeof options === 'string') return { strategy: strategyOf(options) }
  const { strategy, max_cost_usd: costUsd, max_latency_ms: maxLatencyMs, min_quality: minQuality } = options
  const caps: Caps = {
    ...(costUsd !== undefined && { maxCostNanoUsd: nanoFromUsd(costUsd) }),
    ...(maxLatencyMs !== undefined && { maxLatencyMs }),
    ...(minQuality !== undefined && { minQuality }),
  }
  return {
    strategy: strategy && strategyOf(strategy),
    caps: Object.keys(caps).length > 0 ? caps : undefined,
    complexity: options.task_complexity,
    timeoutMs: options.timeout_ms,
    allowDoubleCost: options.allow_double_cost,
  }
}
