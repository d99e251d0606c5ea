import { and, eq, inArray, ne, sql } from 'drizzle-orm'
import type { Ctx } from '../../core/context.ts'
import { AppError, notFound } from '../../core/errors.ts'
import type { Provider } from '../../core/models.ts'
import type { NodeLink } from '../../core/node.ts'
import { actorOf, auditLog, auditRow } from '../audit/service.ts'
import { type JobView, startJob } from '../job-queue/service.ts'
import { jobs } from '../job-queue/table.ts'
import { nodes } from '../nodes/table.ts'
import { isPullable } from './patterns.ts'

export const PULL_JOB = 'models.pull'

/** A node that its organisation may change. */
export type OwnNode = { provider: Provider; link: NodeLink }

export type WantedPull = { name: string; node_id?: string | undefined; insecure: boolean }

/**
 * The nodes of the caller's own organisation that their policy reaches, in order of preference; one of them by its id.
 * Throws 404, and 403 for the one that everybody shares: what is on it is the operator's to decide.
 */
export function ownNodes({ providers }: Pick<Ctx, 'providers'>, id?: string): OwnNode[] {
  const all = [...providers.values()].flatMap((provider) => (provider.node ? [{ provider, link: provider.node }] : []))
  const meant = id === undefined ? all : all.filter(({ link }) => link.id === id)
  if (id !== undefined && meant.length === 0) throw notFound('node')
  const own = meant.filter(({ link }) => !link.isShared)
  if (meant.length > 0 && own.length === 0) {
    throw new AppError('permission_denied', 'The node is everybody’s: what it has is for its operator to say.')
  }
  return own
}

/** Has a model pulled to a node, by a job. Throws 403 for a name that may not be, and 409 while another one is pulled. */
export async function startPull(ctx: Ctx, { name, node_id, insecure }: WantedPull): Promise<JobView> {
  const { link, provider } = await nodeFor(ctx, { name, node_id })
  const busy = await pullsAt(ctx, { nodeId: link.id, statuses: ['queued', 'running'] })
  if (busy[0]) {
    throw new AppError('conflict', `${provider.name} pulls one model at a time.`, { details: { job_id: busy[0].id } })
  }
  const job = await startJob(ctx, { kind: PULL_JOB, input: { name, node_id: link.id, insecure } })
  await noteModelAct(ctx, { action: 'model.pull', nodeId: link.id, model: name })
  return job
}

type Where = { name: string; node_id: string | undefined }

/** The first that may have it, of those that take work; whoever names a node gets that one. */
async function nodeFor(ctx: Ctx, { name, node_id }: Where): Promise<OwnNode> {
  const own = ownNodes(ctx, node_id)
  if (own.length === 0) throw notFound('node')
  const allowed = await pullableTo(ctx, own, name)
  const found = allowed.find(({ link }) => node_id !== undefined || !link.isDraining) ?? allowed[0]
  if (!found) throw new AppError('permission_denied', `${name} is not among the models that may be pulled.`)
  return found
}

/** Those of these nodes that such a model may be pulled to, as their organisation says today. */
export async function pullableTo(ctx: Ctx, own: readonly OwnNode[], name: string): Promise<OwnNode[]> {
  const { orgId } = ctx.caller
  const ids = own.map(({ link }) => link.id)
  const [rows] = await ctx.db.atomically(orgId, (query) => [
    query
      .select({ id: nodes.id, allowed: nodes.allowed_pulls })
      .from(nodes)
      .where(and(eq(nodes.org_id, orgId), inArray(nodes.id, ids))),
  ])
  return own.filter(({ link }) => rows.some(({ id, allowed }) => id === link.id && isPullable(allowed, name)))
}

type Pulls = { nodeId: string; statuses: ('queued' | 'running')[]; but?: string }

/** Jobs that pull to a node, those first that were begun first. */
export async function pullsAt({ db, caller: { orgId } }: Ctx, { nodeId, statuses, but = '' }: Pulls) {
  const [rows] = await db.atomically(orgId, (query) => [
    query
      .select({ id: jobs.id, started_at: jobs.started_at })
      .from(jobs)
      .where(
        and(
          eq(jobs.org_id, orgId),
          eq(jobs.kind, PULL_JOB),
          inArray(jobs.status, statuses),
          ne(jobs.id, but),
          sql`${jobs.input} ->> 'node_id' = ${nodeId}`,
        ),
      )
      .orderBy(jobs.started_at, jobs.id),
  ])
  return rows
}

/** Writes down who changed what a node has. */
export async function noteModelAct(
  ctx: Ctx,
  { action, nodeId, model }: { action: 'model.pull' | 'model.delete'; nodeId: string; model: string },
): Promise<void> {
  const { orgId } = ctx.caller
  const note = await auditRow(ctx, {
    orgId,
    actor: actorOf(ctx.caller),
    action,
    target: { kind: 'node', id: nodeId },
    details: { model },
  })
  await ctx.db.atomically(orgId, (query) => [query.insert(auditLog).values(note)])
}
