import * as z from 'zod'
import { pageFields, pageOf } from '../../http/page.ts'

const Status = z.enum(['queued', 'running', 'completed', 'failed', 'cancelled'])

export const JobParams = z.object({ id: z.string().regex(/^job_[0-9a-hjkmnp-tv-z]{26}$/) })

export const JobsQuery = z.strictObject({
  ...pageFields,
  status: Status.optional(),
  kind: z.string().min(1).max(64).optional().describe('Such as `routing.replay`.'),
})
export type JobsQuery = z.output<typeof JobsQuery>

const JobFields = z.object({
  id: z.string(),
  object: z.literal('job'),
  kind: z.string(),
  status: Status,
  progress: z.number().min(0).max(1),
  detail: z.record(z.string(), z.unknown()).optional().describe('Where it is: bytes, items.'),
  error: z
    .object({ code: z.string(), message: z.string(), status: z.int() })
    .optional()
    .describe('Why it failed: as an answer would have told.'),
  created_at: z.int(),
  started_at: z.int().optional(),
  finished_at: z.int().optional(),
  expires_at: z.int().describe('When it is gone, with its result. Unix seconds.'),
})
export type JobFields = z.input<typeof JobFields>

export const JobView = JobFields.extend({
  result: z.unknown().optional().describe('What the call would have answered. Once it is completed.'),
})
export type JobView = z.input<typeof JobView>

/** Without results: a hundred of them would be a body of many megabytes. */
export const JobPage = pageOf(JobFields)
