import * as z from 'zod'
import { pageFields } from '../../http/page.ts'

const MAX_AMOUNT = 1_000_000_000_000
const MAX_WINDOW_SECONDS = 31 * 86_400

const SubjectKind = z
  .enum(['org', 'user', 'key', 'provider'])
  .describe(
    'Whose calls count together: those of the organisation, of a person with all their keys, of one key and those that ' +
      'replace it, or all that the organisation sends to a provider or to a model of one.',
  )
const SubjectId = z
  .string()
  .min(1)
  .max(320)
  .describe(
    'The id of the organisation, person or key; `openai` or `openai/gpt-4o` for a provider. That of your organisation ' +
      'may be left out.',
  )
const Metric = z
  .enum(['requests', 'tokens', 'concurrency'])
  .describe('`concurrency`: calls of models that are under way at once.')
const Algorithm = z
  .enum(['token_bucket', 'sliding_window', 'fixed_window', 'concurrency'])
  .describe('Of requests by seconds a token bucket unless said, of tokens a sliding window; days and months are fixed.')
const LimitWindow = z
  .union([z.int().min(1).max(MAX_WINDOW_SECONDS), z.enum(['day', 'month'])])
  .describe('Seconds, at most 31 days; or a day or month of the UTC calendar. None for concurrency.')
const Amount = z.int().min(1).max(MAX_AMOUNT).describe('Allowed in the window, or at once.')
const Burst = z
  .int()
  .min(1)
  .describe('What a token bucket holds: requests that may come at once. As much as the amount unless said.')
const Mode = z
  .enum(['enforce', 'monitor'])
  .describe('A limit in `monitor` refuses nobody: it counts what it would have refused.')

export const LimitParams = z.object({ id: z.string().regex(/^lim_[0-9a-z]{26}$/) })

export const LimitsQuery = z.strictObject({
  ...pageFields,
  subject_kind: SubjectKind.optional(),
  subject_id: SubjectId.optional(),
})
export type LimitsQuery = z.output<typeof LimitsQuery>

/** What a limit allows. Its subject never changes. */
export const LimitRule = z.strictObject({
  metric: Metric,
  algorithm: Algorithm.optional(),
  window: LimitWindow.optional(),
  amount: Amount,
  burst: Burst.optional(),
  mode: Mode.default('enforce'),
})
export type LimitRule = z.output<typeof LimitRule>

const subject = { subject_kind: SubjectKind, subject_id: SubjectId.optional() }

export const CreateLimit = z.strictObject({ ...subject, ...LimitRule.shape })
export type CreateLimit = z.output<typeof CreateLimit>

/** What is absent stays. */
export const PatchLimit = z.strictObject({
  amount: Amount.optional(),
  burst: Burst.nullable().optional().describe('Null: as much as the amount.'),
  mode: Mode.optional(),
})
export type PatchLimit = z.output<typeof PatchLimit>

const PresetName = z.enum(['standard', 'premium'])
export type PresetName = z.output<typeof PresetName>

export const ApplyPreset = z.strictObject({ preset: PresetName, ...subject })
export type ApplyPreset = z.output<typeof ApplyPreset>

const rule = {
  metric: Metric,
  algorithm: Algorithm,
  window: LimitWindow.nullable(),
  amount: z.int(),
  burst: z.int().nullable().describe('What a token bucket holds; null for the others.'),
}

const described = {
  id: z.string(),
  object: z.literal('limit'),
  subject_kind: SubjectKind,
  subject_id: z.string(),
  ...rule,
  mode: Mode,
  preset: z.string().nullable().describe('The preset that it came from.'),
}

export const LimitView = z.object({ ...described, created_at: z.int(), updated_at: z.int() })
export type LimitView = z.output<typeof LimitView>

export const LimitDetail = LimitView.extend({
  would_have_refused: z
    .int()
    .nullable()
    .describe(
      'Calls of today (UTC) that it would have refused. Null: it refuses them, or Redis, which counts, is away.',
    ),
})

export const CurrentQuery = z.strictObject({
  subject_kind: SubjectKind.optional().describe('Needs governance:read. Without it: the caller.'),
  subject_id: SubjectId.optional(),
})
export type CurrentQuery = z.output<typeof CurrentQuery>

export const CurrentLimits = z.object({
  object: z.literal('list'),
  data: z.array(
    z.object({
      id: z.string(),
      subject_kind: SubjectKind,
      provider: z.string().nullable().describe('The provider, or the model of one, whose limit it is.'),
      ...rule,
      mode: Mode,
      remaining: z
        .int()
        .nullable()
        .describe(
          'What may come now; below zero where calls took more than was expected. Null: nobody counts it here.',
        ),
      resets_in_seconds: z.int().nullable().describe('Until all of it has come back, if nothing more is taken.'),
    }),
  ),
})
export type CurrentLimits = z.output<typeof CurrentLimits>

export const Presets = z.object({
  object: z.literal('list'),
  data: z.array(
    z.object({
      preset: PresetName,
      subject_kind: SubjectKind,
      subject_id: z.string().nullable().describe('Null: for every subject of its kind.'),
      limits: z.array(z.object(rule)),
    }),
  ),
})

export const AppliedPreset = z.object({ object: z.literal('list'), data: z.array(LimitView) })
