import * as z from 'zod'
import { LABEL } from '../../core/ids.ts'

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
})
