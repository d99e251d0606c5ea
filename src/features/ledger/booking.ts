import { secondsOf } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { type Decision, type DecisionRow, decisionRow } from '../../core/decision.ts'
import { AppError } from '../../core/errors.ts'
import { figuresIdOf, type Measured } from '../../core/figures.ts'
import {
  type BudgetRef,
  type CounterIncrement,
  type LedgerRow,
  type LedgerStatus,
  writesTokens,
} from '../../core/ledger.ts'
import type { Usage } from '../../core/models.ts'
import { type RequestRow, requestRow } from '../../core/request-log.ts'
import { budgetsFor, budgetsOfCall } from '../budgets/service.ts'
import { costNanoUsd, type Price, pricesHash } from '../catalog/service.ts'
import { correctionsOf } from './corrections.ts'
import { settle } from './settling.ts'

/** How a call ended, as the ledger wants to know it. */
export type Ending = {
  operation: LedgerRow['operation']
  status: LedgerStatus
  /** What answered, or the last that failed. */
  target: { provider: Parameters<typeof figuresIdOf>[0]; model: string; price: Price | undefined }
  usage: Usage
  /** The counts are ours, not the vendor's. */
  estimated: boolean
  attempts: number
  stream: boolean
  /** Unix milliseconds of the first content, for streams. */
  firstContentMs?: number | undefined
  errorCode?: string | undefined
  /** What a stream wrote to its caller; a whole answer says so itself. */
  bytesOut?: number | undefined
}

export type World = Pick<
  Ctx,
  'ledgerOf' | 'db' | 'redis' | 'log' | 'now' | 'newId' | 'requestId' | 'startedMs' | 'admission' | 'memory' | 'arrival'
>

export const NO_USAGE: Usage = { prompt: 0, cached: 0, cacheWrite: 0, completion: 0, reasoning: 0 }

/** The most that a column of milliseconds takes: a clock that jumped must not keep a row from being written. */
const MAX_MS = 2 ** 31 - 1

export function costOf({ target, usage }: Pick<Ending, 'target' | 'usage'>): number {
  return target.price ? costNanoUsd(target.price, usage) : 0
}

const since = (startMs: number, endMs: number): number => Math.min(MAX_MS, Math.max(0, endMs - startMs))

/** The row of a finished call. */
export function rowOf(ctx: World, ending: Ending): LedgerRow {
  const { usage, target } = ending
  const { policy, run } = ctx.admission
  const nowMs = ctx.now()
  return {
    id: ctx.newId('led'),
    request_id: ctx.requestId,
    org_id: policy.orgId,
    key_id: policy.keyId,
    user_id: policy.userId ?? null,
    agent_id: policy.agentId ?? null,
    run_id: run?.id ?? null,
    operation: ending.operation,
    provider: target.provider.name,
    model: target.model,
    price_id: target.price?.id ?? '',
    prices_hash: pricesHash,
    status: ending.status,
    prompt_tokens: usage.prompt,
    cached_tokens: usage.cached,
    cache_write_tokens: usage.cacheWrite,
    cache_write_1h_tokens: usage.cacheWriteHour ?? 0,
    completion_tokens: usage.completion,
    reasoning_tokens: usage.reasoning,
    cost_nanos: costOf(ending),
    estimated: ending.estimated,
    attempts: ending.attempts,
    latency_ms: since(ctx.startedMs, nowMs),
    ttft_ms: ending.firstContentMs === undefined ? null : since(ctx.startedMs, ending.firstContentMs),
    error_code: ending.errorCode ?? null,
    stream: ending.stream,
    created_at: secondsOf(nowMs),
    ...parentOf(ctx),
  }
}

const parentOf = ({ arrival }: World): Pick<LedgerRow, 'parent_request_id'> | undefined =>
  arrival?.parentRequestId === undefined ? undefined : { parent_request_id: arrival.parentRequestId }

/** The one ledger call after a response. */
export async function book(ctx: World, ending: Ending): Promise<void> {
  if (ctx.arrival) ctx.arrival.isBooked = true
  const row = rowOf(ctx, ending)
  const decision = decisionOf(ctx, row)
  const settlement = {
    row,
    budgets: countedIn(ctx, row),
    tokenCorrections: correctionsOf(ctx.admission, row, ctx.now()),
    counters: takeTallies(ctx),
    request: await requestOf(ctx, row, ending.bytesOut),
    decision,
    measured: measuredOf(ctx.arrival?.decision, { ending, row, taskType: decision?.task_type ?? undefined }),
  }
  await settle(ctx, [settlement])
}

/** Hard and soft budgets that a row counts in. */
export const countedIn = ({ admission }: Pick<World, 'admission'>, row: LedgerRow): BudgetRef[] =>
  budgetsFor(
    [...budgetsOfCall(admission), ...(admission.policy.watched ?? [])],
    [{ provider: row.provider, model: row.model, priceId: row.price_id }],
  )

/** What the log of requests keeps of the call; its status is known as soon as its response begins. */
export async function requestOf(
  { arrival, admission }: World,
  row: LedgerRow,
  bytesOut: number | undefined,
): Promise<RequestRow | undefined> {
  if (arrival?.response === undefined) return undefined
  const response = await arrival.response
  return requestRow(arrival, {
    policy: admission.policy,
    statusCode: response.statusCode,
    errorCode: row.error_code,
    durationMs: row.latency_ms,
    bytesOut: bytesOut ?? response.bytesOut,
    nowSeconds: row.created_at,
  })
}

export function decisionOf({ arrival, admission, requestId }: World, row: LedgerRow): DecisionRow | undefined {
  if (arrival?.decision === undefined) return undefined
  const outcome = row.status === 'unknown' ? 'error' : row.status
  return decisionRow(arrival.decision, { requestId, policy: admission.policy, outcome, nowSeconds: row.created_at })
}

/** What is learned of the targets: from the one that answered, and from those that failed before it. */
export function measuredOf(
  decision: Pick<Decision, 'attempts' | 'failed'> | undefined,
  { ending, row, taskType }: { ending: Ending; row: LedgerRow; taskType: string | undefined },
): Measured[] {
  const failed = (decision?.failed ?? []).map((id): Measured => ({ id, ok: false }))
  const answered = decision?.attempts.findLast(({ outcome }) => outcome === 'ok')
  // Who left says nothing of the target, and what never answered is among the failed ones.
  if (!answered || row.status === 'aborted' || row.status === 'unknown') return failed
  const id = figuresIdOf(ending.target.provider, row.model)
  if (row.status === 'error') return [...failed, { id, ok: false }]
  const sinceContentMs = row.ttft_ms === null ? 0 : Math.max(0, row.latency_ms - row.ttft_ms)
  const told: Measured = {
    id,
    ok: true,
    latencyMs: answered.duration_ms + sinceContentMs,
    ...(row.stream && { ttftMs: answered.duration_ms }),
    ...(writesTokens(row.operation) && row.status === 'ok' && { outputTokens: row.completion_tokens }),
    taskType,
  }
  return [...failed, told]
}

/** What this isolate refused since its last settlement rides along. */
export function takeTallies({ memory }: Pick<World, 'memory'>): CounterIncrement[] {
  if (memory.tallies.size === 0) return []
  const taken = [...memory.tallies].map(([labels, amount]): CounterIncrement => ['helix_refused_total', labels, amount])
  memory.tallies.clear()
  return taken
}

export const errorCodeOf = (error: unknown): string => (error instanceof AppError ? error.code : 'internal')
