import { and, eq, isNull, lte, ne, sql } from 'drizzle-orm'
import { judgeUrl } from '../../core/address.ts'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { type QueryBuilder, sqlStateOf } from '../../core/db.ts'
import { AppError, DependencyError, notFound, unfit } from '../../core/errors.ts'
import { actorOf, auditLog, auditRow } from '../audit/service.ts'
import { modelsOf } from '../catalog/service.ts'
import { queueFor, requireThat } from '../orgs/service.ts'
import { providers } from '../providers/table.ts'
import { markSubject } from '../subjects/service.ts'
import { noCredential, openedCredential, type Sealed, sealedCredential, textOf } from './credential.ts'
import { isLive, readOwn } from './rows.ts'
import { type Credential, NodeBody, type PatchNode } from './schema.ts'
import { limitsOf, type NodeRow } from './spec.ts'
import { rowView } from './state.ts'
import { nodes } from './table.ts'
import { verifyNode } from './verify.ts'

const MAX_NODES = 20

const DUPLICATE = '23505'
/**
 * States of `requireThat`: a row is gone, there are too many, a provider has the name, somebody changed it meanwhile, or
 * another node has the address.
 */
const GONE = 'HX404'
const FULL = 'HX409'
const TAKEN = 'HX410'
const CHANGED = 'HX412'
const ELSEWHERE = 'HX413'

/** What of a row its organisation decides, without its credential. */
type Described = Omit<NodeRow, 'id' | 'org_id' | 'deleted_at' | 'created_at' | 'updated_at' | keyof Sealed>

/** A node that answers, through its tunnel, as what it is said to be. Throws 422, and 409 for its name or beyond twenty. */
export async function createNode(ctx: Ctx, { credential, ...body }: NodeBody): Promise<NodeRow> {
  const { orgId } = ctx.caller
  const described = checkNode(ctx, body)
  const id = ctx.newId('node')
  const now = nowSeconds(ctx)
  const sealed = credential ? await sealedCredential(ctx, id, credential) : noCredential
  const row: NodeRow = {
    ...described,
    ...sealed,
    id,
    org_id: orgId,
    deleted_at: null,
    created_at: now,
    updated_at: now,
  }
  await verifyNode(ctx, row, credential ? textOf(credential) : undefined)
  const note = await noteOf(ctx, 'node.create', { after: row })
  const all = sql`(select count(*) from ${nodes} where ${isLive(orgId)})`
  await refusing(
    ctx.db.atomically(orgId, (query) => [
      queueFor(query, orgId),
      query.insert(nodes).values(row),
      requireThat(query, lte(all, MAX_NODES), FULL),
      isNoProvider(query, row),
      isOneNode(query, row),
      query.insert(auditLog).values(note),
    ]),
  )
  await markNodes(ctx)
  return row
}

/** Fields that are left out get their defaults, but for the credential, which stays. Throws 403, 404, 409 and 422. */
export async function replaceNode(ctx: Ctx, id: string, { credential, ...body }: NodeBody): Promise<NodeRow> {
  const before = await readOwn(ctx, id)
  return change(ctx, before, { described: checkNode(ctx, body), credential })
}

/** What is absent stays as it is, of `limits` too. Throws 403, 404, 409 and 422. */
export async function patchNode(ctx: Ctx, id: string, { credential, ...patch }: PatchNode): Promise<NodeRow> {
  const before = await readOwn(ctx, id)
  const { name, base_url, speech_url, metrics_url, priority, enabled, drain, allowed_pulls } = before
  const now = { name, base_url, speech_url, metrics_url, priority, enabled, drain, allowed_pulls }
  const limits = { ...before.limits, ...patch.limits }
  const { credential: _none, ...body } = NodeBody.parse({ ...now, ...patch, limits })
  return change(ctx, before, { described: checkNode(ctx, body), credential })
}

/** Throws 403, 404 and 409. */
export async function drainNode(ctx: Ctx, id: string, drain: boolean): Promise<NodeRow> {
  return patchNode(ctx, id, { drain })
}

/** The row stays for what refers to it; its credential does not. No call reaches it any more. Throws 403 and 404. */
export async function deleteNode(ctx: Ctx, id: string): Promise<void> {
  const { orgId } = ctx.caller
  const before = await readOwn(ctx, id)
  const now = nowSeconds(ctx)
  const note = await noteOf(ctx, 'node.delete', { before })
  await refusing(
    ctx.db.atomically(orgId, (query) => [
      requireThat(query, sql`exists(select from ${nodes} where ${isLive(orgId, id)} for update)`, GONE),
      query
        .update(nodes)
        .set({ ...noCredential, deleted_at: now, enabled: false, updated_at: now })
        .where(isLive(orgId, id)),
      query.insert(auditLog).values(note),
    ]),
  )
  await markNodes(ctx)
  await forgetWatch(ctx, id)
}

/** Where its watch cannot be reached, that forgets by itself, an hour after the last who asked. */
async function forgetWatch({ gateOf, log }: Ctx, id: string): Promise<void> {
  try {
    await gateOf(id).forget()
  } catch (error) {
    if (!(error instanceof DependencyError)) throw error
    log.warn('node_watch_not_told', { node_id: id, cause: String(error.cause) })
  }
}

type Change = { described: Described; credential: Credential | null | undefined }

async function change(ctx: Ctx, before: NodeRow, { described, credential }: Change): Promise<NodeRow> {
  const { id, org_id: orgId } = before
  // A credential is write-only: whoever may change where a node is must not thereby have it sent to themselves.
  if (before.credential !== null && credential === undefined && movesAway(before, described)) {
    throw unfit('credential', 'has to be given again with another address')
  }
  const sealed: Partial<Sealed> =
    credential === undefined ? {} : credential ? await sealedCredential(ctx, id, credential) : noCredential
  const changes = { ...described, ...sealed, updated_at: nowSeconds(ctx) }
  const row: NodeRow = { ...before, ...changes }
  if (credential !== undefined || movesAway(before, described)) {
    await verifyNode(ctx, row, credential ? textOf(credential) : await openedCredential(ctx, row))
  }
  const note = await noteOf(ctx, 'node.update', { before, after: row })
  await refusing(
    ctx.db.atomically(orgId, (query) => [
      queueFor(query, orgId),
      requireThat(query, sql`exists(select from ${nodes} where ${isLive(orgId, id)} for update)`, GONE),
      requireThat(query, sql`exists(select from ${nodes} where ${isSame(before)})`, CHANGED),
      query.update(nodes).set(changes).where(isLive(orgId, id)),
      isNoProvider(query, row),
      // Two that are at one address from before it was asked can still be changed, drained and taken apart.
      ...(placeOf(before.base_url) === placeOf(row.base_url) ? [] : [isOneNode(query, row)]),
      query.insert(auditLog).values(note),
    ]),
  )
  await markNodes(ctx)
  return row
}

/**
 * What was checked before must still be what is there: a credential is kept for these addresses alone, and all of the row
 * is written, also what somebody else has changed meanwhile.
 */
function isSame(before: NodeRow) {
  const { org_id, id, name, base_url, speech_url, metrics_url, credential, priority, enabled, drain } = before
  const { limits, allowed_pulls: pulls } = before
  return and(
    isLive(org_id, id),
    eq(nodes.name, name),
    eq(nodes.base_url, base_url),
    sql`${nodes.speech_url} is not distinct from ${speech_url}`,
    sql`${nodes.metrics_url} is not distinct from ${metrics_url}`,
    sql`${nodes.credential} is not distinct from ${credential}`,
    eq(nodes.priority, priority),
    eq(nodes.enabled, enabled),
    eq(nodes.drain, drain),
    sql`${nodes.limits} = ${JSON.stringify(limits)}::jsonb`,
    sql`${nodes.allowed_pulls} is not distinct from ${pulls === null ? null : JSON.stringify(pulls)}::jsonb`,
  )
}

function placeOf(text: string): string {
  const { origin, pathname } = new URL(text)
  return origin + pathname.replace(/\/+$/, '')
}

const placesOf = ({ base_url, speech_url, metrics_url }: Described): string[] =>
  [base_url, speech_url, metrics_url].flatMap((text) => (text === null ? [] : [placeOf(text)]))

/** Many share a host: what is behind another path of it may be somebody else's. */
function movesAway(before: NodeRow, after: Described): boolean {
  const known = new Set(placesOf(before))
  return !placesOf(after).every((place) => known.has(place))
}

const urlFaults: Partial<Record<string, string>> = {
  malformed: 'must be a URL',
  scheme: 'must begin with https://',
  userinfo: 'may not carry a user name or password',
  port: 'may not name a port',
}

/** Words that are no node's: what callers leave the choice with, and the installation's own node. */
const RESERVED = new Set(['auto', 'ollama'])

function checkNode({ settings }: Pick<Ctx, 'settings'>, body: Omit<NodeBody, 'credential'>): Described {
  if (RESERVED.has(body.name) || modelsOf(body.name).length > 0) {
    throw new AppError('conflict', 'A vendor, or a node of the installation, has this name.', { param: 'name' })
  }
  const rules = { testOrigins: new Set(settings.outboundTestOrigins), deniedHosts: [] }
  const checked = (field: 'base_url' | 'speech_url' | 'metrics_url'): string | null => {
    const text = body[field]?.trim() ?? null
    if (text === null) return null
    const verdict = judgeUrl(text, rules)
    if (!verdict.allowed) throw unfit(field, urlFaults[verdict.refusal] ?? 'must name a host on the public Internet')
    // The path of an endpoint is put behind it.
    if (/[?#\\]/.test(text)) throw unfit(field, 'may not have a query, a fragment or a backslash')
    // One address in one spelling: no two nodes are to be one machine.
    return verdict.url.origin + verdict.url.pathname.replace(/\/+$/, '')
  }
  const limits = Object.fromEntries(Object.entries(body.limits).filter(([, most]) => most !== undefined))
  const base_url = checked('base_url') ?? ''
  return { ...body, limits, base_url, speech_url: checked('speech_url'), metrics_url: checked('metrics_url') }
}

/** Calls name both alike: `name/model`. */
const isNoProvider = (query: QueryBuilder, { org_id, name }: NodeRow) => {
  const isTaken = and(eq(providers.org_id, org_id), eq(providers.name, name), isNull(providers.deleted_at))
  return requireThat(query, sql`not exists(select from ${providers} where ${isTaken})`, TAKEN)
}

/** Two nodes at one address would each let in as many calls as the machine takes. */
const isOneNode = (query: QueryBuilder, { org_id, id, base_url }: NodeRow) => {
  const isThere = and(isLive(org_id), ne(nodes.id, id), sql`rtrim(${nodes.base_url}, '/') = rtrim(${base_url}, '/')`)
  return requireThat(query, sql`not exists(select from ${nodes} where ${isThere})`, ELSEWHERE)
}

/** Has the next call of everybody in the organisation know of a change. */
const markNodes = (ctx: Ctx): Promise<void> => markSubject(ctx, { subject_kind: 'org', subject_id: ctx.caller.orgId })

/** Views hold no credential, so neither do their hashes. */
export function noteOf(ctx: Ctx, action: string, { before, after }: { before?: NodeRow; after?: NodeRow }) {
  const row = after ?? before
  const shown = (one: NodeRow | undefined) => one && rowView({ kind: 'own', row: one, dataKeys: [] })
  return auditRow(ctx, {
    orgId: ctx.caller.orgId,
    actor: actorOf(ctx.caller),
    action,
    target: row && { kind: 'node', id: row.id },
    before: shown(before),
    after: shown(after),
    details: { name: row?.name, drain: row?.drain, gpu_tasks: row && limitsOf(row).gpu_tasks },
  })
}

const messages: Readonly<Record<string, string>> = {
  [FULL]: `An organisation has at most ${MAX_NODES} nodes.`,
  [TAKEN]: 'A provider of the organisation has this name.',
  [CHANGED]: 'The node was changed at the same time: look, and try again.',
  [ELSEWHERE]: 'Another node of the organisation has this address: a machine is one node, with one set of limits.',
  [DUPLICATE]: 'There is one of this name already.',
}

async function refusing<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    const state = sqlStateOf(error) ?? ''
    if (state === GONE) throw notFound('node')
    const message = messages[state]
    if (message === undefined) throw error
    const param = state === TAKEN || state === DUPLICATE ? 'name' : state === ELSEWHERE ? 'base_url' : undefined
    throw new AppError('conflict', message, param === undefined ? {} : { param })
  }
}
