import type { Provider } from './models.ts'
import type { Figures } from './routing.ts'

/** What one call told of a target. */
export type Measured = {
  /** `figuresIdOf` the target. */
  id: string
  ok: boolean
  /** From the attempt's beginning to its end, and to its first content where it was streamed. */
  latencyMs?: number | undefined
  ttftMs?: number | undefined
  outputTokens?: number | undefined
  taskType?: string | undefined
}

/** What a target's figures go by: accounts of two organisations may have one name, and share nothing. */
export const figuresIdOf = (
  provider: { name: string; account?: Pick<NonNullable<Provider['account']>, 'id'> | undefined },
  model: string,
): string => `${provider.account?.id ?? provider.name}/${model}`

/** Figures of the past count half as much after so long. */
export const FADE_MS = 24 * 3600_000
/** Failures are forgotten sooner: what counts is how a target is now. */
export const FADE_FAILURES_MS = 5 * 60_000
/** A call or two that failed are no rate yet: as if so many had gone well beside them. */
const CALM_CALLS = 2

/** Neighbouring edges of the histograms differ by this factor, so a quantile is right within a tenth. */
export const BUCKET_RATIO = 1.2
const LOG_RATIO = Math.log(BUCKET_RATIO)
const LAST_BUCKET = 100

/** The bucket of a value of 1 or more; what is less counts as 1. */
export const bucketOf = (value: number): number =>
  Math.min(LAST_BUCKET, Math.max(0, Math.round(Math.log(Math.max(1, value)) / LOG_RATIO)))

/** The middle of a bucket. */
export const middleOf = (bucket: number): number => BUCKET_RATIO ** bucket

/** What a batch of calls told of one target, ready to be added to what is known of it. */
export type Batch = {
  id: string
  calls: number
  failures: number
  latencies: Map<number, number>
  ttfts: Map<number, number>
  /** Tokens written, and in how much time. */
  tokens: number
  writingMs: number
  /** Output tokens by the kind of task. */
  outputs: Map<string, Map<number, number>>
}

/** Adds up what calls told, by target. */
export function addUp(calls: Iterable<Measured>): Batch[] {
  const batches = new Map<string, Batch>()
  for (const call of calls) {
    const batch = batches.get(call.id) ?? emptyBatch(call.id)
    batches.set(call.id, batch)
    add(batch, call)
  }
  return [...batches.values()]
}

const emptyBatch = (id: string): Batch => ({
  id,
  calls: 0,
  failures: 0,
  latencies: new Map(),
  ttfts: new Map(),
  tokens: 0,
  writingMs: 0,
  outputs: new Map(),
})

function add(batch: Batch, { ok, latencyMs, ttftMs, outputTokens, taskType }: Measured): void {
  batch.calls += 1
  if (!ok) batch.failures += 1
  if (latencyMs !== undefined) count(batch.latencies, latencyMs)
  if (ttftMs !== undefined) count(batch.ttfts, ttftMs)
  if (outputTokens === undefined || latencyMs === undefined) return
  batch.tokens += outputTokens
  batch.writingMs += Math.max(1, latencyMs - (ttftMs ?? 0))
  if (taskType === undefined) return
  const outputs = batch.outputs.get(taskType) ?? new Map<number, number>()
  batch.outputs.set(taskType, outputs)
  count(outputs, outputTokens)
}

function count(histogram: Map<number, number>, value: number): void {
  const bucket = bucketOf(value)
  histogram.set(bucket, (histogram.get(bucket) ?? 0) + 1)
}

/** What a store keeps of a target, in the order of its text. */
type Kept = [
  atMs: number,
  calls: number,
  latencyMs: number | null,
  latencyP95Ms: number | null,
  ttftMs: number | null,
  tokensPerSecond: number | null,
  failures: number,
  recentCalls: number,
]
const KEPT_FIELDS = 8

const isKept = (value: unknown): value is Kept =>
  Array.isArray(value) &&
  value.length === KEPT_FIELDS &&
  value.every((one) => one === null || (typeof one === 'number' && Number.isFinite(one)))

/** Reads what the ledgers have written of a target (`features/ledger/figures.ts`); undefined for what cannot be read. */
export function readFigures(text: string, outputTokens: string | null, nowMs: number): Figures | undefined {
  const kept = parse(text)
  if (!kept) return undefined
  const [atMs, calls, latencyMs, latencyP95Ms, ttftMs, tokensPerSecond, failures, recentCalls] = kept
  const elapsedMs = Math.max(0, nowMs - atMs)
  const recent = 0.5 ** (elapsedMs / FADE_FAILURES_MS)
  const output = outputTokens === null ? Number.NaN : Number(outputTokens)
  return {
    calls: calls * 0.5 ** (elapsedMs / FADE_MS),
    latencyMs: latencyMs ?? undefined,
    latencyP95Ms: latencyP95Ms ?? undefined,
    ttftMs: ttftMs ?? undefined,
    tokensPerSecond: tokensPerSecond ?? undefined,
    errorRate: (failures * recent) / (recentCalls * recent + CALM_CALLS),
    outputTokens: Number.isFinite(output) ? output : undefined,
  }
}

function parse(text: string): Kept | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isKept(value) ? value : undefined
  } catch {
    return undefined
  }
}
