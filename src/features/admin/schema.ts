import * as z from 'zod'
import { pageFields, pageOf } from '../../http/page.ts'

const idOf = (prefix: string) => z.string().regex(new RegExp(`^${prefix}_[0-9a-hjkmnp-tv-z]{26}$`))
const time = z.int().describe('Unix seconds.')

const plans = ['free', 'standard', 'premium'] as const
const statuses = ['active', 'suspended'] as const

export const OrgPath = z.strictObject({ id: idOf('org') })
export const UserPath = z.strictObject({ id: idOf('usr') })

/** Newest first. */
export const Search = z.strictObject({
  limit: pageFields.limit,
  after: pageFields.after,
  search: z.string().trim().min(1).max(500).optional().describe('Part of a name or an address, or a whole id.'),
})
export type Search = z.output<typeof Search>

export const Org = z.object({
  id: z.string(),
  name: z.string(),
  slug: z.string(),
  plan: z.enum(plans),
  status: z.enum(statuses),
  members: z.int(),
  deleted_at: time.nullable(),
  created_at: time,
})
export type Org = z.output<typeof Org>
export const Orgs = pageOf(Org)

export const OrgPatch = z.strictObject({ status: z.enum(statuses).optional(), plan: z.enum(plans).optional() })
export type OrgPatch = z.output<typeof OrgPatch>

export const User = z.object({
  id: z.string(),
  username: z.string(),
  email: z.string(),
  email_verified: z.boolean(),
  display_name: z.string().nullable(),
  is_active: z.boolean(),
  is_operator: z.boolean(),
  last_login_at: time.nullable(),
  created_at: time,
})
export type User = z.output<typeof User>
export const Users = pageOf(User)

export const UserPatch = z.strictObject({ is_active: z.boolean().optional(), is_operator: z.boolean().optional() })
export type UserPatch = z.output<typeof UserPatch>

export const Rotation = z.strictObject({
  revoke: z
    .boolean()
    .default(false)
    .describe('For a key that leaked: every key and every access token ends now. Sessions go on by refreshing.'),
})

export const RotationState = z.object({
  active: z.string().describe('The key that signs.'),
  next: z.string().nullable().describe('The key that is published and takes over.'),
  next_signs_at: time.nullable(),
})
