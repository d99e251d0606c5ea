import * as z from 'zod'
import { pageFields } from '../../http/page.ts'

const MAX_VALUE_BYTES = 64 * 1024

const ScopeKind = z.enum(['org', 'agent'])

const Name = z
  .string()
  .regex(/^[\w.-]{1,255}$/, 'must be 1 to 255 letters, digits, dots, hyphens or underscores')
  .describe('How it is asked for. Unique among the secrets of the organisation, or of the agent.')

const Description = z
  .string()
  .max(2000)
  .refine((text) => !text.includes('\0'), 'may not contain NUL')

/** Encrypted text is UTF-8: what that cannot hold would come back as something else. */
const Value = z
  .string()
  .min(1)
  .refine((text) => text.isWellFormed(), 'must be well-formed Unicode')
  .refine((text) => Buffer.byteLength(text) <= MAX_VALUE_BYTES, `must be at most ${MAX_VALUE_BYTES} bytes of UTF-8`)
  .describe('1 byte to 64 kB of text. Stored encrypted, and shown by no answer but that of a reveal.')

export const SecretParams = z.object({ id: z.string().regex(/^sec_[0-9a-hjkmnp-tv-z]{26}$/) })

export const SecretsQuery = z.strictObject({
  ...pageFields,
  scope_kind: ScopeKind.optional(),
  search: z
    .string()
    .regex(/^[\w.-]{1,255}$/)
    .optional()
    .describe('Part of a name, in whatever case.'),
})
export type SecretsQuery = z.output<typeof SecretsQuery>

export const CreateSecret = z
  .strictObject({
    name: Name,
    scope_kind: ScopeKind.default('org').describe('Whose it is: the whole organisation’s, or one agent’s.'),
    scope_id: z
      .string()
      .regex(/^agt_[0-9a-hjkmnp-tv-z]{26}$/)
      .optional()
      .describe('The agent, and only for one.'),
    description: Description.nullable().default(null),
    value: Value,
  })
  .refine(({ scope_kind: kind, scope_id: id }) => (kind === 'agent') === (id !== undefined), {
    path: ['scope_id'],
    message: 'names the agent of a secret of scope_kind agent, and nothing else',
  })
export type CreateSecret = z.output<typeof CreateSecret>

/** A value cannot be read back to be sent again, so it stays where it is left out. */
export const ReplaceSecret = z
  .strictObject({
    value: Value.optional().describe('A new value. Without it the present one stays.'),
    description: Description.nullable().optional().describe('Without it there is none any more.'),
  })
  .refine(({ value, description }) => value !== undefined || description !== undefined, {
    message: 'needs a value or a description',
  })
export type ReplaceSecret = z.output<typeof ReplaceSecret>

export const RevealSecret = z.strictObject({
  reason: z
    .string()
    .trim()
    .min(3)
    .max(500)
    .refine((text) => text.isWellFormed() && !text.includes('\0'), 'must be plain text')
    .describe('Why the value is needed; it stands in the audit log.'),
})

export const SecretView = z.object({
  id: z.string(),
  object: z.literal('secret'),
  name: z.string(),
  scope_kind: ScopeKind,
  scope_id: z.string().describe('The organisation or the agent.'),
  description: z.string().nullable(),
  version: z.int().describe('Grows with every replacement.'),
  is_active: z.boolean(),
  last_used_at: z.int().nullable().describe('When the value was last read. Unix seconds, as all times.'),
  created_at: z.int(),
  updated_at: z.int(),
})
export type SecretView = z.output<typeof SecretView>

export const RevealedSecret = z.object({ value: z.string() })
