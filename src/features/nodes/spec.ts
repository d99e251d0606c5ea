import type { AccountSpec, Accounts } from '../../core/accounts.ts'
import { DEFAULT_NODE_LIMITS, type NodeLimits } from '../../core/node.ts'
import type { nodes } from './table.ts'

export type NodeRow = typeof nodes.$inferSelect

/** Ollama sends nothing while it loads a model, which takes minutes for a large one. */
const FIRST_BYTE_MS = 120_000
const CONNECT_MS = 10_000
const MAX_RETRIES = 2

/** Classes that its organisation said nothing of have the defaults. */
export const limitsOf = ({ limits }: Pick<NodeRow, 'limits'>): NodeLimits => ({ ...DEFAULT_NODE_LIMITS, ...limits })

/** A node as an account that a policy carries. */
export function nodeSpecOf(row: NodeRow): AccountSpec {
  const limits = limitsOf(row)
  const { id, credential, updated_at, speech_url, metrics_url } = row
  return {
    id,
    name: row.name,
    kind: 'ollama',
    baseUrl: row.base_url,
    models: [],
    timeoutMs: FIRST_BYTE_MS,
    connectTimeoutMs: CONNECT_MS,
    maxRetries: MAX_RETRIES,
    maxConcurrency: limits.gpu_tasks,
    quirks: {},
    credentials: credential === null ? [] : [{ id, sealed: credential, updatedAt: updated_at }],
    node: {
      ...(speech_url !== null && { speechUrl: speech_url }),
      ...(metrics_url !== null && { agentUrl: metrics_url }),
      limits,
      isDraining: row.drain,
    },
  }
}

/** The data keys as a policy carries them: of one node, the one that its credential is sealed with. */
export const dataKeysOf = (
  { dek_version }: Pick<NodeRow, 'dek_version'>,
  keys: readonly { version: number; wrapped_dek: string }[],
): Accounts['dataKeys'] =>
  keys.flatMap(({ version, wrapped_dek }) => (version === dek_version ? [{ version, wrapped: wrapped_dek }] : []))
