import type { AdmissionRequest, Ask, Policy } from '../../../src/core/admission.ts'
import type { Deps } from '../../../src/core/context.ts'
import { DependencyError } from '../../../src/core/errors.ts'
import type { BudgetRef, HoldRequest, OrgLedger } from '../../../src/core/ledger.ts'
import { createAdmit } from '../../../src/features/admission/service.ts'
import { createKey } from '../../../src/features/keys/format.ts'
import { hashKey } from '../../../src/features/keys/service.ts'
import type { LimitRow } from '../../../src/features/limits/service.ts'
import { recordKeys } from '../../../src/features/records/service.ts'
import { createKeyPair, importKey, signToken } from '../../../src/features/signing/jws.ts'
import type { AccessClaims } from '../../../src/features/signing/service.ts'
import { fakeDeps, fakeSettings } from '../../support/fake-deps.ts'
import { noCredit } from '../../support/no-credit.ts'
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
/** As the sessions' own query selects it. */
type SessionRow = {
  userId: string
  audience: 'helix' | 'helix-admin'
  method: 'password'
  maxRole: null
  expiresAt: number
  role: 'owner' | 'admin' | 'member' | 'readonly'
  isOperator: boolean
}
type Rules = {
  limits: Partial<LimitRow>[]
  budgets: { id: string; window: 'total'; limit_nanos: number }[]
}

/** A limit of the key; unless said otherwise 60 requests a minute. */
const limitRow = (given: Partial<LimitRow>, at: number): LimitRow => ({
  id: `lim_${at + 1}`,
  org_id: 'org_1',
  subject_kind: 'key',
  subject_id: 'key_1',
  metric: 'requests',
  algorithm: given.metric === 'tokens' ? 'sliding_window' : 'token_bucket',
  window_seconds: 60,
  calendar: null,
  amount: 60,
  burst: null,
  mode: 'enforce',
  preset: null,
  created_at: 0,
  updated_at: 0,
  ...given,
})

const budgetRow = (given: Rules['budgets'][number]) => ({
  hard: true,
  subject_kind: 'org',
  subject_id: 'org_1',
  soft_percent: [],
  ...given,
})

const signingPair = createKeyPair()

type Statement = { verb: 'select' | 'insert' | 'update'; values?: Record<string, unknown> }

/** A query builder that only notes which kind of statement is built. */
const statements = {
  select: () => chain({ verb: 'select' }),
  insert: () => chain({ verb: 'insert' }),
  update: () => chain({ verb: 'update' }),
}

function chain(statement: Statement): object {
  return new Proxy(statement, {
    get: (target, name) => {
      if (name === 'verb') return target.verb
      if (name !== 'values') return () => chain(target)
      return target.values ?? ((values: Record<string, unknown>) => chain({ ...target, values }))
    },
  })
}

/** One caller before a real admission and a real Redis; Postgres and the ledger are played, and may be away. */
export function admissionWorld({ redis }: Pick<RedisBackend, 'redis'>, rules: Partial<Rules> = {}) {
  const apiKey = createKey('live')
  const orgId = `org_${apiKey.slice(8, 20).toLowerCase()}`
  const sessionId = createKey('live').slice(8, 20).toLowerCase()
  const state = {
    nowMs: 1_800_000_000_000,
    row: undefined as KeyRow | undefined,
    session: undefined as SessionRow | undefined,
    rules: { limits: [], budgets: [], ...rules } as Rules,
    postgresAway: false,
    /** What Postgres answers waits for this. */
    postgresGate: Promise.resolve(),
    /** Signing keys as Postgres has them. */
    signingKeys: [] as { kid: string; public_jwk: Record<string, string>; not_after: null }[],
    /** Rows of the audit log. */
    audited: [] as Record<string, unknown>[],
    ledgerAway: false,
    ledgerRefuses: false,
    /** The agent of the key. */
    agentId: null as string | null,
    /** Budgets of runs, as the ledger knows them by name. */
    runs: new Map<string, BudgetRef[]>(),
    /** False for a ledger of an earlier release. */
    knowsRuns: true,
    lookups: 0,
    /** Look-ups that found no key. */
    guesses: 0,
    allowed: true,
  }
  state.row = {
    id: 'key_1',
    org_id: orgId,
    mode: 'live',
    scopes: ['chat:write'],
    allowed_models: null,
    expires_at: null,
    user_id: null,
    role: null,
    allowed_ips: null,
    is_live: true,
  }
  state.session = {
    userId: 'usr_1',
    audience: 'helix',
    method: 'password',
    maxRole: null,
    expiresAt: 2_000_000_000,
    role: 'member',
    isOperator: false,
  }
  const holds = new Map<string, HoldRequest>()
  const ledgerCalls: string[] = []
  const answered = async <T>(call: string, work: () => T): Promise<T> => {
    ledgerCalls.push(call)
    if (state.ledgerAway) throw new DependencyError('ledger', new Error('away'))
    return work()
  }
  const ledger: OrgLedger = {
    ...noCredit,
    hold: (request) =>
      answered('hold', () => {
        if (state.ledgerRefuses) return { ok: false, budgetId: 'bud_1', remainingNanoUsd: 0 }
        const { request_id, run_id } = request.facts
        const runBudgets = run_id === null || !state.knowsRuns ? [] : state.runs.get(run_id)
        if (run_id !== null && !runBudgets) return { ok: false, runId: run_id }
        holds.set(request_id, request)
        return runBudgets && state.knowsRuns ? { ok: true, runBudgets } : { ok: true }
      }),
    extend: () => answered('extend', () => ({ ok: true })),
    release: (id) =>
      answered('release', () => {
        holds.delete(id)
      }),
    settle: (calls) => answered('settle', () => calls.map(() => true)),
    spend: () => answered('spend', () => []),
    settledOn: () => answered('settledOn', () => undefined),
    forgetRun: () => answered('forgetRun', () => undefined),
  }
  const orAway = <T>(value: T): T => {
    if (state.postgresAway) throw new DependencyError('postgres', new Error('away'))
    return value
  }
  const fromPostgres = async <T>(value: () => T): Promise<T> => {
    state.lookups += 1
    orAway(undefined)
    // What is read is what there was when the question came, however long the answer takes.
    const read = value()
    await state.postgresGate
    return read
  }
  /** One select is for a session, more of them are for a policy, an insert is an audited act. */
  const answer = (statements: readonly Statement[]): unknown[] => {
    const [first, ...rest] = statements
    if (first?.verb === 'insert') {
      state.audited.push(first.values ?? {})
      return []
    }
    if (rest.length === 0) return [state.session ? [state.session] : []]
    const { limits, budgets } = state.rules
    const known: unknown[] = [limits.map(limitRow), budgets.map(budgetRow), [{ agentId: state.agentId }]]
    // The organisation has nothing else that a policy is made of.
    return statements.map((_, at) => known[at] ?? [])
  }
  const deps: Deps = fakeDeps({
    redis,
    ledgerOf: () => ledger,
    now: () => state.nowMs,
    db: {
      query: () => fromPostgres(() => (state.row ? [state.row] : [])),
      atomically: (async (ofOrg: string, build: (query: unknown) => Statement[]) =>
        ofOrg === ''
          ? orAway([state.signingKeys])
          : fromPostgres(() => answer(build(statements)))) as unknown as Deps['db']['atomically'],
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

  /** An access token of a session, signed with the one key that Postgres has. */
  async function token(claims: Partial<AccessClaims> = {}): Promise<string> {
    const { publicJwk, privateJwk } = await signingPair
    const [kid, iat] = ['sig_1', Math.floor(state.nowMs / 1000)]
    state.signingKeys = [{ kid, public_jwk: publicJwk, not_after: null }]
    const whole: AccessClaims = {
      aud: 'helix',
      sub: 'usr_1',
      org: orgId,
      sid: `ses_${sessionId}`,
      role: 'member',
      scope: '',
      jti: 'tok_1',
      iat,
      exp: iat + 1800,
      ...claims,
    }
    return signToken({ iss: deps.settings.issuer, ...whole }, { kid, key: await importKey(JSON.parse(privateJwk)) })
  }

  return {
    apiKey,
    state,
    deps,
    holds,
    ledgerCalls,
    pepper: fakeSettings.keyPepper,
    orgId,
    token,
    record: async (credential: string = apiKey) =>
      credential.startsWith('hx_')
        ? recordKeys.key(await hashKey(fakeSettings.keyPepper, credential))
        : recordKeys.session(`ses_${sessionId}`),
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
      return admit(deps, request, ask ?? ((policy) => worstCase(policy, state.nowMs)))
    },
    settled: () => Promise.all(deferred.splice(0)),
  }
}

const worstCase = ({ budgets }: Policy, nowMs: number): Ask => ({
  tokens: 10,
  candidates: [],
  hold:
    budgets.length === 0
      ? undefined
      : {
          facts: {
            operation: 'chat',
            provider: 'openai',
            model: 'gpt-4o',
            price_id: 'p',
            prices_hash: 'h',
            run_id: null,
          },
          amountNanoUsd: 100,
          deadlineMs: nowMs + 60_000,
          budgets,
        },
})
