import * as z from 'zod'
import { complexities, strategies } from '../../core/routing.ts'
import type { PlanInputs } from './plan.ts'

const StoredOption = z.object({
  id: z.string(),
  out: z.string().exactOptional(),
  tier: z.number().exactOptional(),
  fallback_tier: z.number().exactOptional(),
  spare: z.literal(true).exactOptional(),
  would_wait: z.literal(true).exactOptional(),
  priority: z.number().exactOptional(),
  weight: z.number().exactOptional(),
  cost_nanos: z.number().exactOptional(),
  dear: z.literal(true).exactOptional(),
  latency_ms: z.number().exactOptional(),
  quality: z.number().exactOptional(),
  load: z.number().exactOptional(),
  health: z.number().exactOptional(),
  loaded: z.literal(true).exactOptional(),
  error_rate: z.number().exactOptional(),
})

const StoredCaps = z.object({
  max_cost_nanos: z.number().exactOptional(),
  max_latency_ms: z.number().exactOptional(),
  min_quality: z.number().exactOptional(),
})

const StoredInputs = z.object({
  strategy: z.enum([...strategies, 'explicit', 'first']),
  options: z.array(StoredOption),
  most: z.number(),
  most_in_all: z.number().exactOptional(),
  task_type: z.string().exactOptional(),
  complexity: z.enum(complexities).exactOptional(),
  stream: z.boolean().exactOptional(),
  hard: StoredCaps.exactOptional(),
  soft: StoredCaps.exactOptional(),
  random: z.number().exactOptional(),
  turn: z.number().exactOptional(),
  epsilon: z.number().exactOptional(),
})

/** What a plan came of, as a decision has kept it; undefined for what no plan comes of. */
export const readInputs = (stored: unknown): PlanInputs | undefined => StoredInputs.safeParse(stored).data
