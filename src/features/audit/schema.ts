import * as z from 'zod'
import { pageFields, pageOf } from '../../http/page.ts'

const Id = z.string().min(1).max(64)
const Time = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER)

const filters = {
  actor: Id.optional().describe('Id of the person or key that acted.'),
  action: z
    .string()
    .max(64)
    .regex(/^[a-z0-9_]+(?:\.[a-z0-9_]+)*\.?$/)
    .optional()
    .describe('An action such as `key.create`, or with a dot at its end all that begin so: `key.`.'),
  target: z.string().min(1).max(255).optional().describe('Id of what was acted on.'),
  from: Time.optional().describe('Unix seconds; this second included.'),
  to: Time.optional().describe('Unix seconds; this second not included.'),
}

export const AuditQuery = z.strictObject({ ...pageFields, ...filters })
export type AuditQuery = z.output<typeof AuditQuery>
export type AuditFilters = Omit<AuditQuery, 'limit'>

export const ExportQuery = z.strictObject({
  format: z.enum(['csv', 'json']).default('csv'),
  after: pageFields.after,
  order: pageFields.order,
  ...filters,
})
export type ExportQuery = z.output<typeof ExportQuery>

export const VerifyQuery = z.strictObject({
  from_seq: z.coerce
    .number()
    .int()
    .min(1)
    .max(Number.MAX_SAFE_INTEGER)
    .default(1)
    .describe('Where to begin: the row before is taken as it stands.'),
})

export const AuditView = z.object({
  id: z.string(),
  object: z.literal('audit_entry'),
  seq: z.int().nullable().describe('Place in the chain; null for a row that is older than the chain.'),
  actor_kind: z.string(),
  actor_id: z.string().nullable(),
  action: z.string(),
  target_kind: z.string().nullable(),
  target_id: z.string().nullable(),
  details: z.record(z.string(), z.unknown()),
  before_hash: z.string().nullable().describe('SHA-256 of what was.'),
  after_hash: z.string().nullable().describe('SHA-256 of what is.'),
  ip: z.string().nullable(),
  request_id: z.string().nullable(),
  prev_hash: z.string().nullable(),
  hash: z.string().nullable(),
  created_at: z.int(),
})
export type AuditView = z.output<typeof AuditView>

export const AuditPage = pageOf(AuditView)

export const Verification = z.object({
  object: z.literal('audit_verification'),
  ok: z.boolean(),
  checked: z.int().describe('How many rows hold, up to 10,000 for a call.'),
  first_seq: z.int().nullable(),
  last_seq: z.int().nullable(),
  head: z
    .object({ seq: z.int(), hash: z.string() })
    .nullable()
    .describe('Where the chain ends. Noted elsewhere, it shows a chain that was made anew.'),
  head_matches: z.boolean().nullable().describe('Null when the end was not reached.'),
  broken: z
    .object({
      seq: z.int(),
      id: z.string().nullable(),
      why: z
        .enum(['changed', 'unlinked', 'missing', 'head', 'before_chain'])
        .describe(
          '`changed`: the row is not what its hash says. `unlinked`: it does not follow the row before. `missing`: no row has that place. `head`: the noted end of the chain is another. `before_chain`: rows without a place were added or taken away.',
        ),
    })
    .nullable(),
  next_from_seq: z.int().nullable().describe('Where to go on; null at the end, and at a break.'),
})
export type Verification = z.output<typeof Verification>
