import type { Job, JobDeps } from '../../core/jobs.ts'
import { auditLog, auditRow } from '../audit/service.ts'
import { keyForOpening, makeKey, readNewest, sealsOn } from './data-keys.ts'
import { sealAgain } from './reseal.ts'
import { RESEALED_WITHIN_SECONDS } from './status.ts'

/** Enough to look at some tens of thousands of organisations. */
const LIMIT_MS = 10 * 60_000
/** One organisation with very many rows must not take the time of all others. */
const ORG_LIMIT_MS = 60_000

/**
 * Every night: an organisation whose data key is 30 days old gets a new one, and what older keys have sealed is sealed
 * again. What one night does not finish the next goes on with.
 */
export const encryptionJob: Job = {
  name: 'encryption',
  hourUtc: 3,
  limitMs: LIMIT_MS,
  run: (deps, { deadlineMs, eachOrg }) => eachOrg((orgId) => tend(deps, orgId, deadlineMs)),
}

async function tend(deps: JobDeps, orgId: string, deadlineMs: number): Promise<void> {
  const newest = await readNewest(deps, orgId)
  // Whoever has sealed nothing needs no key, and whose keys were destroyed must not get another.
  if (!newest) return
  // One that does not open here says that other key-encryption keys are configured here than elsewhere: a key that is
  // made under those could be opened by nobody else. So that must fail before anything is made.
  const opened = await keyForOpening(deps, orgId, newest.version)
  const key = sealsOn(deps, newest) ? opened : await replaceKey(deps, orgId, newest.version + 1)
  const endMs = Math.min(deadlineMs, deps.now() + ORG_LIMIT_MS)
  const { rows, unreadable, isEnd } = await sealAgain(deps, orgId, { key, maxRows: Number.POSITIVE_INFINITY, endMs })
  if (rows > 0) deps.log.info('values_sealed_again', { org_id: orgId, rows, version: key.version })
  const isLate = deps.now() / 1000 - key.createdAt > RESEALED_WITHIN_SECONDS
  if (!isEnd && isLate) deps.log.error('values_under_old_keys', { org_id: orgId, version: key.version })
  if (unreadable > 0) throw new Error(`${unreadable} stored values do not open.`)
}

async function replaceKey(deps: JobDeps, orgId: string, version: number) {
  const note = await auditRow(deps, {
    orgId,
    actor: { kind: 'system', id: null, ip: null },
    action: 'encryption.rotate',
    target: { kind: 'data_key', id: String(version) },
    details: { version, continues: false },
  })
  return makeKey(deps, orgId, { version, also: (query) => query.insert(auditLog).values(note) })
}
