import { and, eq, isNull, lte, or } from 'drizzle-orm'
import { secondsOf } from '../../core/clock.ts'
import type { Deps } from '../../core/context.ts'
import { DependencyError } from '../../core/errors.ts'
import { markSubject } from '../subjects/service.ts'
import { providerCredentials as credentials } from './table.ts'

type World = Pick<Deps, 'db' | 'redis' | 'log' | 'now' | 'newId'>
type Cooldown = { orgId: string; credentialId: string; untilMs: number }

/**
 * Writes down that a credential is put aside, so that other isolates find it in their next policy. Only the first of
 * many that see it writes and has policies compiled anew. Never throws for a store that is away: they see for themselves.
 */
export async function tellCooldown(world: World, { orgId, credentialId, untilMs }: Cooldown): Promise<void> {
  const now = secondsOf(world.now())
  const isFree = or(isNull(credentials.cooldown_until), lte(credentials.cooldown_until, now))
  try {
    const [written] = await world.db.atomically(orgId, (query) => [
      query
        .update(credentials)
        .set({ cooldown_until: secondsOf(untilMs), updated_at: now })
        .where(and(eq(credentials.org_id, orgId), eq(credentials.id, credentialId), isFree))
        .returning({ id: credentials.id }),
    ])
    if (written.length > 0) {
      await markSubject({ ...world, caller: { orgId } }, { subject_kind: 'org', subject_id: orgId })
    }
  } catch (error) {
    if (!(error instanceof DependencyError)) throw error
    world.log.warn('cooldown_not_told', { credential_id: credentialId, dependency: error.dependency })
  }
}
