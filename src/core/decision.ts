/**
 * Why a call went where it went, as a row of `decisions`. It rides in the settlement of its call, and is written with
 * the ledger's row: ids and figures only, nothing of what was said.
 */
export type DecisionRow = {
  id: string
  org_id: string
  request_id: string
  key_id: string
  user_id: string | null
  /** The name that the caller asked for. */
  asked_model: string
  strategy: string
  /** Of the plan, in its order. */
  candidates: readonly { target: string; reason: string }[]
  excluded: readonly { target: string; reason: string }[]
  /** Of the dispatch, in order; `outcome` is `ok` or one word for what went wrong. */
  attempts: readonly { target: string; outcome: string }[]
  /** The target that answered; null when none did. */
  chosen: string | null
  outcome: 'ok' | 'error' | 'aborted' | 'budget' | 'refused'
  cache: 'off' | 'miss' | 'exact'
  is_stream: boolean
  policy_version: string
  prices_version: string
  /** Unix seconds. */
  created_at: number
}
