import * as z from 'zod'
import { roles } from '../../core/roles.ts'
import { pageOf } from '../../http/page.ts'
import { OrgName } from '../orgs/service.ts'
import { Email } from '../users/service.ts'

export const MAX_MEMBERS = 1000

const Role = z.enum(roles)
const time = z.int().describe('Unix seconds.')
const idOf = (prefix: string) => z.string().regex(new RegExp(`^${prefix}_[0-9a-hjkmnp-tv-z]{26}$`))

export const MemberPath = z.strictObject({ user_id: idOf('usr') })
export const UserPath = z.strictObject({ id: idOf('usr') })
export const InvitationPath = z.strictObject({ id: idOf('inv') })

const Settings = z.object({
  member_limit: z.int().optional().describe('How many members and open invitations there may be together.'),
})

export const Org = z.object({
  id: z.string(),
  name: z.string(),
  slug: z.string(),
  plan: z.enum(['free', 'standard', 'premium']),
  status: z.enum(['active', 'suspended']),
  settings: Settings,
  data_region: z.string().nullable(),
  created_at: time,
  updated_at: time,
})

export const OrgPatch = z.strictObject({
  name: OrgName.optional(),
  settings: z
    .strictObject({
      member_limit: z.int().min(1).max(MAX_MEMBERS).nullable().optional().describe(`Null: ${MAX_MEMBERS}.`),
    })
    .optional(),
})

export const OrgDeletion = z.strictObject({ confirm: z.string().max(255).describe("The organisation's slug.") })

export const NewOrgBody = z.strictObject({ name: OrgName })

/** An organisation as one of its members lists it. */
export const OwnOrgs = pageOf(
  z.object({
    id: z.string(),
    name: z.string(),
    slug: z.string(),
    plan: z.string(),
    role: Role,
    is_active: z.boolean().describe('False while the membership or the organisation is suspended.'),
  }),
)

/** Someone as a member of this organisation. */
export const Member = z.object({
  id: z.string().describe("The person's id."),
  username: z.string(),
  email: z.string(),
  display_name: z.string().nullable(),
  role: Role,
  is_active: z.boolean(),
  invited_by: z.string().nullable(),
  joined_at: time,
})
export const Members = pageOf(Member)

export const MemberPatch = z.strictObject({ role: Role })

/** Someone of this organisation, as a person. */
export const User = z.object({
  id: z.string(),
  username: z.string(),
  email: z.string(),
  email_verified: z.boolean(),
  display_name: z.string().nullable(),
  role: Role,
  is_active: z.boolean().describe('False: may not act in this organisation.'),
  created_at: time,
})
export const Users = pageOf(User)

export const UserPatch = z.strictObject({ is_active: z.boolean() })

export const Invitation = z.object({
  id: z.string(),
  email: z.string(),
  role: Role,
  invited_by: z.string().nullable(),
  expires_at: time,
  created_at: time,
})
export const Invitations = pageOf(Invitation)

export const Invite = z.strictObject({ email: Email, role: Role.default('member') })

export const Acceptance = z.strictObject({
  token: z.string().min(1).max(128).describe('From the mail.'),
  username: z
    .string()
    .min(1)
    .max(254)
    .describe("A name for a new account; the name or address of the account that has the invitation's address."),
  password: z.string().min(1).max(1024),
})

export const Accepted = z.object({
  user: z.object({ id: z.string(), username: z.string(), email: z.string(), email_verified: z.boolean() }),
  org: z.object({ id: z.string(), name: z.string() }),
  role: Role,
  access_token: z.string(),
  token_type: z.literal('bearer'),
  expires_in: z.int(),
  refresh_token: z.string(),
  refresh_expires_in: z.int(),
})
