import * as z from 'zod'
import { LABEL } from '../../core/ids.ts'
import { isIpRule } from '../../core/ip-rules.ts'
import { isGrantedScope } from '../../core/roles.ts'
import { pageFields } from '../../http/page.ts'

const MAX_SCOPES = 100
const MAX_IP_RULES = 100
const MAX_MODELS = 200
const MAX_MODEL_CHARACTERS = 320
const MAX_OVERLAP_SECONDS = 7 * 86_400

const Mode = z.enum(['live', 'test'])

const Name = z.string().trim().min(1).max(255).describe('For people: what the key is for.')
const Scopes = z
  .array(z.string().refine(isGrantedScope, { message: 'is not a scope that a key can have' }))
  .min(1)
  .max(MAX_SCOPES)
  .overwrite((scopes) => [...new Set(scopes)])
  .describe('What the key may do. None that its maker may not do.')
const ExpiresAt = z
  .int()
  .positive()
  .describe('Unix seconds, within five years. A year from now unless said otherwise: no key lives for ever.')
const AllowedIps = z
  .array(z.string().max(64).refine(isIpRule, { message: 'is neither an address nor a block such as 192.0.2.0/24' }))
  .min(1)
  .max(MAX_IP_RULES)
  .describe('Addresses and blocks (CIDR) that the key may be used from. Without it: from anywhere.')
const AllowedModels = z
  .array(z.string().min(1).max(MAX_MODEL_CHARACTERS))
  .min(1)
  .max(MAX_MODELS)
  .describe('Names of models that the key may ask for. Without it: every model.')

const AgentId = z
  .string()
  .regex(LABEL)
  .describe('Your name for the agent whose key it is: its calls are told apart by it, and a budget can be for it.')

export const KeyParams = z.object({ id: z.string().regex(/^key_[0-9a-z]{26}$/) })

export const KeysQuery = z.strictObject({
  ...pageFields,
  user_id: z.string().min(1).max(64).optional().describe('Keys of this person only.'),
  status: z.enum(['live', 'revoked', 'expired']).optional(),
})
export type KeysQuery = z.output<typeof KeysQuery>

export const CreateKey = z.strictObject({
  name: Name,
  scopes: Scopes,
  mode: Mode.default('live').describe('A test key reaches only nodes of your own.'),
  expires_at: ExpiresAt.optional(),
  allowed_ips: AllowedIps.optional(),
  allowed_models: AllowedModels.optional(),
  agent_id: AgentId.optional(),
})
export type CreateKey = z.output<typeof CreateKey>

/** What is absent stays; null lifts a restriction. */
export const PatchKey = z.strictObject({
  name: Name.optional(),
  scopes: Scopes.optional(),
  expires_at: ExpiresAt.optional(),
  allowed_ips: AllowedIps.nullable().optional(),
  allowed_models: AllowedModels.nullable().optional(),
  agent_id: AgentId.nullable().optional(),
})
export type PatchKey = z.output<typeof PatchKey>

export const RotateKey = z.strictObject({
  overlap_seconds: z
    .int()
    .min(0)
    .max(MAX_OVERLAP_SECONDS)
    .default(86_400)
    .describe('How long the old key goes on working, unless it ends before.'),
})

export const VerifyKey = z.strictObject({ key: z.string().min(1).max(1000) })

/** A key as it is shown: neither its secret nor what is stored of that. */
export const KeyView = z.object({
  id: z.string(),
  object: z.literal('api_key'),
  name: z.string(),
  mode: Mode,
  prefix: z.string().describe('How the key begins.'),
  last4: z.string().describe('How it ends.'),
  scopes: z.array(z.string()),
  user_id: z.string().nullable().describe('Whose key it is; null for one that the installation was set up with.'),
  allowed_ips: z.array(z.string()).nullable(),
  allowed_models: z.array(z.string()).nullable(),
  agent_id: z.string().nullable(),
  expires_at: z.int().nullable(),
  last_used_at: z.int().nullable(),
  rotated_from: z.string().nullable().describe('The key that this one replaces.'),
  revoked_at: z.int().nullable(),
  created_at: z.int(),
  updated_at: z.int(),
})
export type KeyView = z.output<typeof KeyView>

export const NewKeyView = KeyView.extend({ secret: z.string().describe('The key itself. Shown this once.') })

export const VerifiedKey = z.object({
  valid: z.boolean(),
  id: z.string().optional(),
  org_id: z.string().optional(),
  user_id: z.string().nullable().optional(),
  mode: Mode.optional(),
  scopes: z.array(z.string()).optional().describe('What it may do now, within what its maker may do.'),
  allowed_ips: z.array(z.string()).nullable().optional(),
  allowed_models: z.array(z.string()).nullable().optional(),
  expires_at: z.int().nullable().optional(),
})
