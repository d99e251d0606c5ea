import { and, eq } from 'drizzle-orm'
import type { Admission, Policy } from '../../core/admission.ts'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx, Deps } from '../../core/context.ts'
import { findKey } from '../keys/service.ts'
import { apiKeys } from '../keys/table.ts'
import { compilePolicy } from '../policies/service.ts'
import { providersFor } from '../providers/service.ts'
import { findSession } from '../sessions/service.ts'
import type { JobRow } from './rows.ts'

/**
 * The policy of today of the credential that asked for a job; undefined when it is not valid any more.
 * Throws `DependencyError('postgres')`.
 */
export async function policyFor(deps: Deps, job: JobRow): Promise<Policy | undefined> {
  const subject = job.key_kind === 'session' ? await findSession(deps, job.org_id, job.key_id) : await keyOf(deps, job)
  if (!subject) return undefined
  const policy = await compilePolicy(deps, subject)
  return policy.expiresAt !== undefined && policy.expiresAt <= nowSeconds(deps) ? undefined : policy
}

async function keyOf(deps: Deps, { org_id, key_id }: JobRow) {
  const [[row]] = await deps.db.atomically(org_id, (query) => [
    query
      .select({ hash: apiKeys.secret_hash })
      .from(apiKeys)
      .where(and(eq(apiKeys.org_id, org_id), eq(apiKeys.id, key_id))),
  ])
  const key = row && (await findKey(deps, row.hash))
  return key?.live ? key : undefined
}

/** Let in like a request that asked for nothing: what it asks models is admitted call by call. */
const admissionOf = (policy: Policy): Admission => ({
  policy,
  held: false,
  openBreakers: new Map(),
  cached: undefined,
  tokenCharges: [],
  requests: undefined,
  tokens: undefined,
})

/** A job's view of the program. */
export function ctxFor(deps: Deps, policy: Policy, around: Pick<Ctx, 'signal' | 'defer'>): Ctx {
  const { orgId, keyId, kind, userId, role, scopes } = policy
  return {
    ...deps,
    providers: providersFor(deps, policy),
    // Nobody came from anywhere: as a request whose address is not known.
    caller: { orgId, keyId, kind, userId, role, scopes, ip: 'unknown' },
    admission: admissionOf(policy),
    requestId: deps.newId('req'),
    startedMs: deps.now(),
    ...around,
  }
}
