import type { PublicCtx } from '../../http/route.ts'
import { listingOf, nodesOf, relearnNodes } from '../routing/service.ts'

const CHECK_TIMEOUT_MS = 2000
const KEEP_MS = 5000

type Check = { state: 'ok' | 'failed' | 'absent'; latency_ms: number }
type Report = { status: 'ready' | 'degraded' | 'not_ready'; checks: Record<string, Check> }

/** By isolate: everybody may ask, so the stores are asked at most every five seconds. */
const kept = new WeakMap<object, { report: Report; untilMs: number }>()

export async function readiness(ctx: PublicCtx): Promise<Response> {
  const report = await currentReport(ctx)
  return Response.json(report, {
    status: report.status === 'not_ready' ? 503 : 200,
    headers: { 'cache-control': 'no-store' },
  })
}

/** Whoever finds the report too old asks again; those who come meanwhile get the old one. */
async function currentReport(ctx: PublicCtx): Promise<Report> {
  const known = kept.get(ctx.memory)
  if (known && known.untilMs > ctx.now()) return known.report
  if (known) kept.set(ctx.memory, { ...known, untilMs: ctx.now() + KEEP_MS })
  const report = await examine(ctx)
  kept.set(ctx.memory, { report, untilMs: ctx.now() + KEEP_MS })
  return report
}

async function examine(ctx: PublicCtx): Promise<Report> {
  const [postgres, redis, node] = await Promise.all([
    timed(ctx, async () => ctx.db.query((await import('drizzle-orm/sql')).sql`select 1`)),
    timed(ctx, () => ctx.redis.pipeline([['GET', 'ready']])),
    timed(ctx, () => askNodes(ctx)),
  ])
  const vendors = [...ctx.providers.values()].filter(({ kind }) => kind === 'vendor').length
  const provider: Check = { state: vendors > 0 ? 'ok' : 'absent', latency_ms: 0 }
  const nodes: Check = nodesOf(ctx).length === 0 ? { state: 'absent', latency_ms: 0 } : node
  const nobody = vendors === 0 && nodes.state !== 'ok'
  const status =
    postgres.state === 'failed' || nobody
      ? 'not_ready'
      : redis.state === 'failed' || nodes.state === 'failed'
        ? 'degraded'
        : 'ready'
  return { status, checks: { postgres, redis, provider_any: provider, node_any: nodes } }
}

async function askNodes(ctx: PublicCtx): Promise<void> {
  const asking = relearnNodes(ctx, KEEP_MS)
  // The check may give up first; what the nodes then say is still worth knowing.
  ctx.defer(asking)
  await asking
  if (nodesOf(ctx).every((node) => listingOf(ctx, node)?.failed)) throw new Error('no node answers')
}

async function timed({ now }: PublicCtx, check: () => Promise<unknown>): Promise<Check> {
  const startedMs = now()
  let timer: ReturnType<typeof setTimeout> | undefined
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer')), CHECK_TIMEOUT_MS)
  })
  try {
    await Promise.race([check(), silence])
    return { state: 'ok', latency_ms: now() - startedMs }
  } catch {
    return { state: 'failed', latency_ms: now() - startedMs }
  } finally {
    clearTimeout(timer)
  }
}
