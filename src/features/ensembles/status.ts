import { sql } from 'drizzle-orm'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import type { Row } from '../../core/db.ts'
import { usdFromNano } from '../../core/money.ts'
import type { EnsembleStatus } from './schema.ts'

const WINDOW_SECONDS = 86_400

/** What ensembles of the whole installation came to in the last 24 hours, from their decisions. */
export async function ensembleStatus(ctx: Pick<Ctx, 'db' | 'now'>): Promise<EnsembleStatus> {
  const to = nowSeconds(ctx)
  const from = to - WINDOW_SECONDS
  const [all, ...members] = await ctx.db.query(sql`select * from ensemble_status(${from})`)
  const chosen = Number(all?.chosen ?? 0)
  return {
    object: 'ensemble_status',
    from,
    to,
    calls: Number(all?.calls ?? 0),
    agreement: numberOrNull(all?.agreement),
    cost_usd: usdFromNano(Number(all?.cost ?? 0)),
    cost_multiple: chosen > 0 ? Number(all?.compared) / chosen : null,
    members: members.map(memberOf),
  }
}

function memberOf(row: Row): EnsembleStatus['members'][number] {
  const [asked, answered, won] = [row.asked, row.answered, row.won].map(Number)
  return {
    target: String(row.target),
    asked: asked ?? 0,
    answered: answered ?? 0,
    won: won ?? 0,
    confidence: numberOrNull(row.confidence),
    quality: numberOrNull(row.quality),
    cost_usd: usdFromNano(Number(row.cost ?? 0)),
  }
}

const numberOrNull = (value: unknown): number | null => (value === null || value === undefined ? null : Number(value))
