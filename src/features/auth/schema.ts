import * as z from 'zod'
import { roles } from '../../core/roles.ts'
import { pageOf } from '../../http/page.ts'
import { OrgName } from '../orgs/service.ts'
import { Email, Username } from '../users/service.ts'

const audiences = ['helix', 'helix-admin'] as const

/** A password as it is tried; what a new one must be is in the passwords feature. */
const Password = z.string().min(1).max(1024)
const NewPassword = z.string().max(1024).describe('8 to 128 characters, not a common one, without the username.')
const Token = z.string().min(1).max(128)
const OrgId = z.string().min(1).max(64)
const Name = z.string().min(1).max(254).describe('The username or the e-mail address.')
const Audience = z.enum(audiences).default('helix').describe('helix-admin is for operators of the installation only.')
const time = z.int().describe('Unix seconds.')

export const SignIn = z.strictObject({
  username: Name,
  password: Password,
  audience: Audience,
  org_id: OrgId.optional().describe('Which organisation to act for; by default the one that was joined first.'),
})
export type SignIn = z.output<typeof SignIn>

/** RFC 6749, section 4.3.2. */
export const SignInForm = SignIn.extend({
  grant_type: z.enum(['password', '']).optional(),
  scope: z.string().max(2048).optional().describe('Not looked at: a session has the scopes of its role.'),
})

export const Refresh = z.strictObject({ refresh_token: Token })
export const SwitchOrg = z.strictObject({ org_id: OrgId })

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
export const ACCESS_TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:access_token' as const

/** RFC 8693, section 2.1. */
export const Exchange = z.strictObject({
  grant_type: z.literal(TOKEN_EXCHANGE),
  subject_token: z.string().min(1).max(16_384).describe('A JWT of an issuer that the organisation trusts.'),
  subject_token_type: z
    .enum(['urn:ietf:params:oauth:token-type:jwt', 'urn:ietf:params:oauth:token-type:id_token', ACCESS_TOKEN_TYPE])
    .describe('What the subject token is.'),
  org_id: OrgId.optional().describe('Needed when more than one organisation trusts the issuer.'),
})

const pair = {
  access_token: z.string(),
  token_type: z.literal('bearer'),
  expires_in: z.int().describe('Seconds.'),
  refresh_token: z.string().describe('For one use: each refresh gives the next.'),
  refresh_expires_in: z.int().describe('Seconds.'),
}
export const TokenPair = z.object(pair)
export const ExchangedPair = z.object({ ...pair, issued_token_type: z.literal(ACCESS_TOKEN_TYPE) })

const account = { username: Username, email: Email, password: NewPassword }

export const Registration = z.strictObject({
  ...account,
  org_name: OrgName.optional().describe('Of the new organisation; by default the username.'),
  invite_token: Token.optional().describe('From an invitation: joins its organisation, and no other is made.'),
})
export type Registration = z.output<typeof Registration>

export const Bootstrap = z.strictObject({ token: Token, ...account, org_name: OrgName })
export type Bootstrap = z.output<typeof Bootstrap>

const Org = z.object({ id: z.string(), name: z.string(), slug: z.string(), plan: z.string() })

export const SignedUp = z.object({
  user: z.object({ id: z.string(), username: z.string(), email: z.string(), email_verified: z.boolean() }),
  org: Org.pick({ id: true, name: true }),
  role: z.enum(roles),
  ...pair,
})

export const Me = z.object({
  id: z.string(),
  username: z.string(),
  email: z.string(),
  email_verified: z.boolean(),
  display_name: z.string().nullable(),
  is_active: z.boolean(),
  is_superuser: z.boolean().describe('An operator of the installation.'),
  org: Org,
  role: z.enum(roles),
  scopes: z.array(z.string()),
  memberships: z.array(
    z.object({
      org_id: z.string(),
      org_name: z.string(),
      org_slug: z.string(),
      role: z.enum(roles),
      is_active: z.boolean().describe('False while the membership or the organisation is suspended.'),
    }),
  ),
})

export const MePatch = z.strictObject({
  display_name: z.string().trim().min(1).max(100).nullable().optional(),
  email: Email.optional().describe('Becomes the address once it is confirmed by the token that is mailed to it.'),
})
export type MePatch = z.output<typeof MePatch>

export const VerifyEmail = z.strictObject({ token: Token })
export const ChangePassword = z.strictObject({ current_password: Password, new_password: NewPassword })
export const AdminChangePassword = z.strictObject({ username: Name, new_password: NewPassword })
export const ForgotPassword = z.strictObject({ email: Email })
export const ResetPassword = z.strictObject({ token: Token, new_password: NewPassword })

export const SessionPath = z.strictObject({ id: z.string().regex(/^ses_[0-9a-hjkmnp-tv-z]{26}$/) })

export const Sessions = pageOf(
  z.object({
    id: z.string(),
    org_id: z.string(),
    org_name: z.string(),
    audience: z.enum(audiences),
    method: z.enum(['password', 'oidc']),
    user_agent: z.string().nullable(),
    ip: z.string().nullable(),
    is_current: z.boolean(),
    created_at: time,
    refreshed_at: time.nullable(),
    expires_at: time,
  }),
)
