import { and, eq, inArray } from 'drizzle-orm'
import type { AccountSpec } from '../../core/accounts.ts'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { type ListedModel, type Provider, UpstreamError } from '../../core/models.ts'
import { OutboundError } from '../../core/outbound.ts'
import { auditLog } from '../audit/service.ts'
import { modelOf } from '../catalog/service.ts'
import { open, SealError } from '../encryption/service.ts'
import { connect, credentialPlace, specOf } from '../providers/service.ts'
import { providerCredentials as credentials } from '../providers/table.ts'
import { markAccounts, noteOf } from './changes.ts'
import { type CredentialRow, readProvider } from './rows.ts'
import type { Verified } from './schema.ts'

const LIST_MS = 10_000
const CALL_MS = 20_000

type Check = {
  row: CredentialRow | undefined
  found: number
  model: string | undefined
  ms: number
  error: string | null
}

/**
 * Asks a provider with each of its credentials what models it has, and for one token of one of them. That is billed to
 * the organisation's own account and booked nowhere. A credential that works is used again at once. Throws 404, and 403 for a
 * test key where that costs something.
 */
export async function verifyProvider(ctx: Ctx, id: string, model: string | undefined): Promise<Verified> {
  const whole = await readProvider(ctx, id)
  const spec = specOf(whole.row, [])
  if (ctx.admission.policy.mode === 'test' && spec.kind !== 'ollama') {
    throw new AppError('permission_denied', 'A test key spends nothing: this would cost the price of a token.')
  }
  const active = whole.credentials.filter(({ is_active }) => is_active)
  const isOpen = spec.kind === 'ollama' && active.length === 0
  const checks = await Promise.all(
    (isOpen ? [undefined] : active).map((row) => checkCredential(ctx, spec, { row, model })),
  )
  const ok = checks.length > 0 && checks.every(({ error }) => error === null)
  const note = await noteOf(ctx, 'provider.verify', { before: whole, details: { ok } })
  await ctx.db.atomically(ctx.caller.orgId, (query) => [query.insert(auditLog).values(note)])
  await useAgain(ctx, checks)
  return {
    ok,
    models_found: Math.max(0, ...checks.map(({ found }) => found)),
    model: checks.find((check) => check.model !== undefined)?.model ?? null,
    latency_ms: Math.max(0, ...checks.map(({ ms }) => ms)),
    error: checks.length === 0 ? 'It has no credential that is in use.' : firstError(checks),
    credentials: checks.map(({ row, error }) => ({
      id: row?.id ?? null,
      label: row?.label ?? null,
      ok: error === null,
      error,
    })),
  }
}

const firstError = (checks: readonly Check[]): string | null =>
  checks.find(({ error }) => error !== null)?.error ?? null

type Wanted = { row: CredentialRow | undefined; model: string | undefined }

async function checkCredential(ctx: Ctx, spec: AccountSpec, { row, model }: Wanted): Promise<Check> {
  const startMs = ctx.now()
  const check: Check = { row, found: 0, model: undefined, ms: 0, error: null }
  try {
    const provider = connect(ctx, spec, row && (await open(ctx, credentialPlace(row.org_id, row.id), row.secret)))
    const listed = await listingOf(provider)
    check.found = listed.length
    check.model = model ?? modelToTry(spec, listed)
    if (check.model === undefined) check.error = `${spec.name} lists no model, and none was named.`
    else await callOnce(ctx, provider, { spec, model: check.model })
  } catch (error) {
    check.error = wordsOf(error)
  }
  check.ms = Math.max(0, ctx.now() - startMs)
  return check
}

/** Some servers list nothing at all, and answer all the same. */
async function listingOf(provider: Provider): Promise<ListedModel[]> {
  try {
    return await provider.listModels(AbortSignal.timeout(LIST_MS))
  } catch (error) {
    if (error instanceof UpstreamError && (error.status === 404 || error.status === 405)) return []
    throw error
  }
}

/** One that writes, if there is any. */
function modelToTry({ models, vendor }: AccountSpec, listed: readonly ListedModel[]): string | undefined {
  const described = models.find(({ kind }) => kind === 'chat')?.name
  const isChat = ({ name, capabilities }: ListedModel): boolean =>
    vendor === undefined ? (capabilities?.includes('completion') ?? true) : modelOf(vendor, name)?.kind === 'chat'
  return described ?? (listed.find(isChat) ?? listed[0])?.name
}

async function callOnce(
  ctx: Ctx,
  provider: Provider,
  { spec, model }: { spec: AccountSpec; model: string },
): Promise<void> {
  const described = spec.models.find(({ name }) => name === model)
  const call = {
    requestId: ctx.requestId,
    model: described?.upstreamName ?? model,
    signal: AbortSignal.any([ctx.signal, AbortSignal.timeout(CALL_MS)]),
    timeouts: { ...provider.timeouts, totalMs: CALL_MS },
  }
  if (described?.kind === 'embedding') {
    await provider.embed({ ...call, body: { model, input: 'Hello' } })
    return
  }
  const messages = [{ role: 'user', content: 'Hello' }]
  await provider.chat({ ...call, maxOutputTokens: 1, body: { model, messages, max_tokens: 1 } })
}

/** Safe to show: adapters blank keys out of what a vendor says, and the guard's sentences name no address. */
export function wordsOf(error: unknown): string {
  if (error instanceof SealError) return 'The credential cannot be read.'
  if (!(error instanceof UpstreamError)) throw error
  const { cause, vendor, message } = error
  if (cause instanceof OutboundError && cause.fault === 'blocked') return cause.message
  return vendor ? `${message} ${vendor.message}` : message
}

async function useAgain(ctx: Ctx, checks: readonly Check[]): Promise<void> {
  const { orgId } = ctx.caller
  const good = checks.flatMap(({ row, error }) => (row && error === null ? [row] : []))
  for (const { id } of good) ctx.memory.cooldowns.delete(id)
  const ids = good.filter(({ cooldown_until }) => cooldown_until !== null).map(({ id }) => id)
  if (ids.length === 0) return
  await ctx.db.atomically(orgId, (query) => [
    query
      .update(credentials)
      .set({ cooldown_until: null, updated_at: nowSeconds(ctx) })
      .where(and(eq(credentials.org_id, orgId), inArray(credentials.id, ids))),
  ])
  await markAccounts(ctx)
}
