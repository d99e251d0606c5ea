import type * as z from 'zod'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { parseKey } from './format.ts'
import { onlyOf, scopesNow } from './reach.ts'

import type { VerifiedKey } from './schema.ts'
import { findKey, hashKey, type KeyRecord } from './service.ts'

/** What a key may do, where it works and the caller may see it; the same answer for every other text. */
export async function verify(ctx: Ctx, text: string): Promise<z.input<typeof VerifiedKey>> {
  if (!parseKey(text)) return { valid: false }
  const record = await findKey(ctx, await hashKey(ctx.settings.keyPepper, text))
  if (!record || !works(ctx, record) || !isSeen(ctx, record)) return { valid: false }
  return {
    valid: true,
    id: record.id,
    org_id: record.orgId,
    user_id: record.userId ?? null,
    mode: record.mode,
    scopes: scopesNow(record),
    allowed_ips: record.allowedIps ? [...record.allowedIps] : null,
    allowed_models: record.allowedModels ? [...record.allowedModels] : null,
    expires_at: record.expiresAt ?? null,
  }
}

const works = (ctx: Ctx, { live, expiresAt }: KeyRecord): boolean =>
  live && (expiresAt === undefined || expiresAt > nowSeconds(ctx))

function isSeen({ caller }: Ctx, { orgId, userId }: KeyRecord): boolean {
  const owner = onlyOf(caller)
  return orgId === caller.orgId && (owner === undefined || userId === owner)
}
