import * as z from 'zod'
import { roles } from '../../core/roles.ts'
import { algorithms } from './algorithms.ts'

const Role = z.enum(roles)
const Issuer = z.string().min(1).max(512)
const Audience = z.string().min(1).max(255)
const ClaimName = z
  .string()
  .min(1)
  .max(128)
  .regex(/^[\x21-\x7e]+$/)
const ClaimValue = z.string().min(1).max(512)

const atMost = (most: number) => (map: Readonly<Record<string, unknown>>) => Object.keys(map).length <= most
/** An asterisk anywhere else would be looked for as it stands. */
const hasOnlyLastStar = (text: string) => !text.slice(0, -1).includes('*')

const ClaimMap = z.strictObject({
  subject: ClaimName.optional().describe('Who it is; `sub` unless said. Never something that can pass to another.'),
  email: ClaimName.optional().describe('`email` unless said. Only `email` can be a verified address.'),
  username: ClaimName.optional().describe('`preferred_username` unless said.'),
  role: ClaimName.optional().describe('What `role_map` looks at: a text or a list. Dots lead into objects.'),
})

const RequiredClaims = z
  .record(ClaimName, ClaimValue.refine(hasOnlyLastStar, 'may have an asterisk at its end only'))
  .refine(atMost(20), 'at most 20')
  .describe('What a token must say, by claim: the exact value, or the beginning of one and `*`.')

const RoleMap = z
  .record(z.string().min(1).max(255), Role)
  .refine(atMost(50), 'at most 50')
  .describe('The role for each value of the role claim; of several the highest.')

const Algorithms = z.array(z.enum(algorithms)).min(1).max(algorithms.length)

/** A provider as it is made, and as it is replaced: what is left out gets its default. */
export const ProviderBody = z.strictObject({
  name: z.string().trim().min(1).max(100),
  issuer: Issuer.describe('Exactly as in the tokens. https, without query and fragment.'),
  client_id: z.string().min(1).max(255).nullable().default(null),
  audiences: z.array(Audience).min(1).max(20).optional().describe('By default the client id.'),
  jwks_uri: z.string().min(1).max(2048).nullable().default(null).describe("By default from the issuer's discovery."),
  allowed_algs: Algorithms.default(['RS256', 'ES256']),
  claim_map: ClaimMap.default({}),
  required_claims: RequiredClaims.default({}),
  role_map: RoleMap.default({}),
  default_role: Role.default('readonly').describe('For whom no role is mapped.'),
  auto_create: z.boolean().default(false).describe('Makes members of subjects who were never here.'),
})
export type ProviderBody = z.output<typeof ProviderBody>

const time = z.int().describe('Unix seconds.')

export const ProviderView = z.object({
  id: z.string(),
  name: z.string(),
  issuer: z.string(),
  client_id: z.string().nullable(),
  audiences: z.array(z.string()),
  jwks_uri: z.string().nullable(),
  allowed_algs: z.array(z.string()),
  claim_map: z.object(ClaimMap.shape),
  required_claims: z.record(z.string(), z.string()),
  role_map: z.record(z.string(), Role),
  default_role: Role,
  auto_create: z.boolean(),
  max_role: Role.describe('The role of whoever configured it last: nobody gets more through it.'),
  created_at: time,
  updated_at: time,
})

export const ProviderPath = z.strictObject({ id: z.string().regex(/^idp_[0-9a-hjkmnp-tv-z]{26}$/) })

export const ProviderCheck = z.object({
  ok: z.boolean().describe('Tokens of this issuer can be verified now.'),
  detail: z.string(),
  jwks_uri: z.string().nullable().describe('Where the keys are.'),
  key_count: z.int().nullable().describe('Keys that the issuer publishes.'),
  usable_key_count: z.int().nullable().describe('Of these, keys that fit an allowed algorithm.'),
  algorithms: z.array(z.string()).nullable().describe('Allowed algorithms for which there is a key.'),
})
