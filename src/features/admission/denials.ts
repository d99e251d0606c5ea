import type { AdmissionRequest, Policy } from '../../core/admission.ts'
import type { Deps } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'

/** A caller who asks for the same again and again is written down once in this time by each isolate. */
const QUIET_MS = 60_000
const MAX_REMEMBERED = 1000
const AUDITED = '/api/v1/'

/** Writes down that a known caller was denied what they asked of the API beside the models. */
export function createDenials() {
  const noted = new Map<string, number>()

  return (deps: Deps, request: AdmissionRequest, denied: { policy: Policy | undefined; error: unknown }): void => {
    const { policy, error } = denied
    if (!policy || !(error instanceof AppError) || error.code !== 'permission_denied') return
    if (!request.path.startsWith(AUDITED)) return
    const name = `${policy.keyId} ${request.scope}`
    const nowMs = deps.now()
    if (nowMs - (noted.get(name) ?? Number.NEGATIVE_INFINITY) < QUIET_MS) return
    if (noted.size >= MAX_REMEMBERED) noted.clear()
    noted.set(name, nowMs)
    request.defer(writeDown(deps, request, policy))
  }
}

async function writeDown(deps: Deps, { requestId, scope, path, ip }: AdmissionRequest, policy: Policy): Promise<void> {
  const { actorOf, auditLog, auditRow } = await import('../audit/service.ts')
  const row = await auditRow(
    { ...deps, requestId },
    { orgId: policy.orgId, actor: actorOf({ ...policy, ip }), action: 'access.denied', details: { scope, path } },
  )
  await deps.db.atomically(policy.orgId, (query) => [query.insert(auditLog).values(row)])
}
