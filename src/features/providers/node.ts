import * as z from 'zod'
import type { NodeCredential, NodeFacts } from '../../core/node.ts'
import type { Described } from './account.ts'

/** What a node's tunnel is opened with, as its organisation gives it and as it is sealed. */
export const StoredCredential = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('service_token'), client_id: z.string(), client_secret: z.string() }),
  z.strictObject({ type: z.literal('bearer'), token: z.string() }),
])
export type StoredCredential = z.output<typeof StoredCredential>

/** Where a node's credential is sealed. */
export const nodeCredentialPlace = (orgId: string, id: string) => ({
  orgId,
  table: 'nodes',
  column: 'credential',
  rowId: id,
})

/** Throws `Error` for a text that is none. */
export function nodeCredentialOf(opened: string): NodeCredential {
  const stored = StoredCredential.parse(JSON.parse(opened))
  if (stored.type === 'bearer') return stored
  return { type: stored.type, clientId: stored.client_id, clientSecret: stored.client_secret }
}

/** What an account that is a node is known by; undefined for every other. */
export function nodeFactsOf({ orgId, spec, dataKeys }: Described): NodeFacts | undefined {
  const { id, baseUrl, node } = spec
  if (!node) return undefined
  const { speechUrl, agentUrl, limits, isDraining } = node
  return {
    id,
    isShared: false,
    endpoints: { baseUrl, speechUrl, agentUrl },
    limits,
    isDraining,
    watch: { orgId, account: spec, dataKeys },
  }
}
