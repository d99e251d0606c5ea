import type { AdmissionRequest, Ask, Policy } from '../../../src/core/admission.ts'
import type { Deps } from '../../../src/core/context.ts'
import { DependencyError } from '../../../src/core/errors.ts'
import type { HoldRequest, OrgLedger } from '../../../src/core/ledger.ts'
import { createAdmit } from '../../../src/features/admission/service.ts'
import { createKey } from '../../../src/features/keys/format.ts'
import { fakeDeps, fakeSettings } from '../../support/fake-deps.ts'
import type { RedisBackend } from './backends.ts'

type KeyRow = {
  id: string
  org_id: string
  mode: string
  scopes: string[]
  allowed_models: null
  expires_at: number | null
  user_id: string | null
  role: string | null
  allowed_ips: string[] | null
  is_live: boolean
}
type Rules = {
  limits: { metric: 'requests' | 'tokens'; per_minute: number; burst?: number }[]
  budgets: { id: string; window: 'total'; limit_nanos: number }[]
}

/** One caller before a real admission and a real Redis; Postgres and the ledger are played, and may be away. */
export function admissionWorld({ redis }: Pick<RedisBackend, 'redis'>, rules: Partial<Rules> = {}) {
  const apiKey = createKey('live')
  const state = {
    nowMs: 1_800_000_000_000,
    row: undefined as KeyRow | undefined,
    rules: { limits: [], budgets: [], ...rules } as Rules,
    postgresAway: false,
    ledgerAway: false,
    ledgerRefuses: false,
    lookups: 0,
    /** Look-ups that found no key. */
    guesses: 0,
    allowed: true,
  }
  state.row = {
    id: 'key_1',
    org_id: `org_${apiKey.slice(8, 20)}`,
    mode: 'live',
    scopes: ['chat:write'],
    allowed_models: null,
    expires_at: null,
    user_id: null,
    role: null,
    allowed_ips: null,
    is_live: true,
  }
  const holds = new Map<string, HoldRequest>()
  const ledgerCalls: string[] = []
  const answered = async <T>(call: string, work: () => T): Promise<T> => {
    ledgerCalls.push(call)
    if (state.ledgerAway) throw new DependencyError('ledger', new Error('away'))
    return work()
  }
  const ledger: OrgLedger = {
    hold: (request) =>
      answered('hold', () => {
        if (state.ledgerRefuses) return { ok: false, budgetId: 'bud_1', remainingNanoUsd: 0 }
        holds.set(request.facts.request_id, request)
        return { ok: true }
      }),
    extend: () => answered('extend', () => ({ ok: true })),
    release: (id) =>
      answered('release', () => {
        holds.delete(id)
      }),
    settle: () => answered('settle', () => true),
  }
  const fromPostgres = async <T>(value: () => T): Promise<T> => {
    state.lookups += 1
    if (state.postgresAway) throw new DependencyError('postgres', new Error('away'))
    return value()
  }
  const deps: Deps = fakeDeps({
    redis,
    ledgerOf: () => ledger,
    now: () => state.nowMs,
    db: {
      query: () => fromPostgres(() => (state.row ? [state.row] : [])),
      // Rows as the policy compiler selects them: rules first, then budgets.
      atomically: (async () =>
        fromPostgres(() => [
          state.rules.limits.length > 0 ? [{ id: 'pol_1', attach_kind: 'key', limits: state.rules.limits }] : [],
          state.rules.budgets,
        ])) as Deps['db']['atomically'],
    },
    limiter: {
      allows: async () => state.allowed,
      take: async () => {
        state.guesses += 1
        return { allowed: state.allowed, retryAfterSeconds: 7 }
      },
      reset: async () => undefined,
    },
  })
  const isolate = () => createAdmit()
  const deferred: Promise<unknown>[] = []
  let admit = isolate()
  let made = 0

  return {
    apiKey,
    state,
    deps,
    holds,
    ledgerCalls,
    pepper: fakeSettings.keyPepper,
    orgId: state.row.org_id,
    /** Another isolate, which remembers nothing. */
    forget: () => {
      admit = isolate()
    },
    /** Admits one request; what it asks is a hold where a budget applies, unless told otherwise. */
    async admit(given: Partial<AdmissionRequest> = {}, ask?: (policy: Policy) => Ask) {
      made += 1
      const request: AdmissionRequest = {
        requestId: `req_${made}`,
        credential: apiKey,
        ip: '192.0.2.1',
        path: '/v1/chat/completions',
        scope: 'chat:write',
        defer: (work) => void deferred.push(work.catch(() => undefined)),
        ...given,
      }
      return admit(deps, request, ask ?? (() => worstCase(state.nowMs)))
    },
    settled: () => Promise.all(deferred.splice(0)),
  }
}

const worstCase = (nowMs: number): Ask => ({
  tokens: 10,
  candidates: [],
  hold: {
    facts: { operation: 'chat', provider: 'openai', model: 'gpt-4o', price_id: 'p', prices_hash: 'h' },
    amountNanoUsd: 100,
    deadlineMs: nowMs + 60_000,
  },
})
