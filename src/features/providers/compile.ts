import type { AccountCredential, AccountSpec, Accounts } from '../../core/accounts.ts'
import { modelFacts } from './prices.ts'
import type { providerCredentials, providers } from './table.ts'

type ProviderRow = typeof providers.$inferSelect
type CredentialRow = typeof providerCredentials.$inferSelect
type DataKeyRow = { version: number; wrapped_dek: string }

export type AccountRows = {
  providers: readonly ProviderRow[]
  /** Those that are in use, in the order in which they were added. */
  credentials: readonly CredentialRow[]
  /** Registered nodes that are in use. */
  nodes?: readonly RankedNode[]
  /** Of every version that a credential may be sealed under. */
  dataKeys: readonly DataKeyRow[]
}

/** A node as an account, its place among the others, and the version of the key that its credential is sealed under. */
export type RankedNode = { spec: AccountSpec; priority: number; dekVersion: number | null }

type Ranked = { id: string; priority: number; weight: number; spec: AccountSpec }

/**
 * What a policy carries of its organisation's own accounts; undefined when there are none that its callers could reach.
 * One that has lost its credentials is carried all the same: it must not give its place to an account that others pay.
 */
export function accountsOf(
  { orgId, mode }: { orgId: string; mode: 'live' | 'test' },
  { providers, credentials, nodes = [], dataKeys }: AccountRows,
): Accounts | undefined {
  // Test keys never spend: they reach nodes only.
  const reached = providers.filter(({ enabled, kind }) => enabled && (mode === 'live' || kind === 'ollama'))
  if (reached.length + nodes.length === 0) return undefined
  const ranked: Ranked[] = [
    ...reached.map((row) => ({ ...row, spec: specOf(row, credentials) })),
    ...nodes.map(({ spec, priority }) => ({ id: spec.id, priority, weight: 1, spec })),
  ]
  const used = new Set(reached.map(({ id }) => id))
  const versions = new Set([
    ...credentials.flatMap(({ provider_id, dek_version }) => (used.has(provider_id) ? [dek_version] : [])),
    ...nodes.map(({ dekVersion }) => dekVersion),
  ])
  return {
    orgId,
    providers: ranked.toSorted(byPreference).map(({ spec }) => spec),
    dataKeys: dataKeys
      .filter(({ version }) => versions.has(version))
      .map(({ version, wrapped_dek }) => ({ version, wrapped: wrapped_dek })),
  }
}

const byPreference = (one: Ranked, other: Ranked): number =>
  one.priority - other.priority || other.weight - one.weight || (one.id < other.id ? -1 : 1)

export function specOf(row: ProviderRow, credentials: readonly CredentialRow[]): AccountSpec {
  return {
    id: row.id,
    name: row.name,
    kind: row.kind,
    baseUrl: row.base_url,
    ...(row.vendor !== null && { vendor: row.vendor }),
    models: row.models.map(modelFacts),
    timeoutMs: row.timeout_ms,
    connectTimeoutMs: row.connect_timeout_ms,
    maxRetries: row.max_retries,
    ...(row.max_concurrency !== null && { maxConcurrency: row.max_concurrency }),
    quirks: row.quirks,
    credentials: credentials.filter(({ provider_id }) => provider_id === row.id).map(credentialOf),
  }
}

const credentialOf = ({ id, secret, cooldown_until, updated_at }: CredentialRow): AccountCredential => ({
  id,
  sealed: secret,
  ...(cooldown_until !== null && { cooldownUntil: cooldown_until }),
  updatedAt: updated_at,
})
