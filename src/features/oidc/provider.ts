import { sql } from 'drizzle-orm/sql'
import * as z from 'zod'
import type { Deps } from '../../core/context.ts'
import { type Role, roles } from '../../core/roles.ts'
import type { ClaimMap } from './table.ts'

/** An issuer that an organisation trusts, as the exchange of tokens sees it. */
export type Provider = {
  id: string
  orgId: string
  issuer: string
  clientId: string | undefined
  audiences: readonly string[]
  /** Undefined: the issuer's discovery document says. */
  jwksUri: string | undefined
  allowedAlgs: readonly string[]
  claimMap: Readonly<ClaimMap>
  requiredClaims: Readonly<Record<string, string>>
  roleMap: Readonly<Record<string, Role>>
  defaultRole: Role
  autoCreate: boolean
  maxRole: Role
}

const RoleName = z.enum(roles)

const ProviderRow = z
  .object({
    id: z.string(),
    org_id: z.string(),
    issuer: z.string(),
    client_id: z.string().nullable(),
    audiences: z.array(z.string()),
    jwks_uri: z.string().nullable(),
    allowed_algs: z.array(z.string()),
    claim_map: z.object({
      subject: z.string().optional(),
      email: z.string().optional(),
      username: z.string().optional(),
      role: z.string().optional(),
    }),
    required_claims: z.record(z.string(), z.string()),
    role_map: z.record(z.string(), RoleName),
    default_role: RoleName,
    auto_create: z.boolean(),
    max_role: RoleName,
  })
  .transform(
    (row): Provider => ({
      id: row.id,
      orgId: row.org_id,
      issuer: row.issuer,
      clientId: row.client_id ?? undefined,
      audiences: row.audiences,
      jwksUri: row.jwks_uri ?? undefined,
      allowedAlgs: row.allowed_algs,
      claimMap: row.claim_map,
      requiredClaims: row.required_claims,
      roleMap: row.role_map,
      defaultRole: row.default_role,
      autoCreate: row.auto_create,
      maxRole: row.max_role,
    }),
  )

/** Every organisation's providers with exactly this issuer. Throws `DependencyError('postgres')`. */
export async function findProviders({ db }: Pick<Deps, 'db'>, issuer: string): Promise<Provider[]> {
  return z.array(ProviderRow).parse(await db.query(sql`select * from find_oidc_providers(${issuer})`))
}
