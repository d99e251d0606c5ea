import type { Log } from '../../core/context.ts'
import type { HealthCheck, HealthMonitor } from '../../core/health.ts'
import { type Provider, UpstreamError } from '../../core/models.ts'
import { freshOf, statusOf } from './state.ts'

/** Nobody who asks means that nobody needs to know: an idle installation costs nothing. */
const WATCH_MS = 60 * 60_000
/** That somebody asked is written down no more often than that. */
const NOTE_ASKED_MS = 5 * 60_000
const KEPT_CHECKS = 10
const CHECK_TIMEOUT_MS = 8000
/** A Worker may wait for six responses at once. */
const AT_ONCE = 6
/** The provider is there, even if it has no list of models or wants to be asked less often. */
const ALIVE: readonly (number | undefined)[] = [404, 405, 429]

/** What outlives the object. */
export type Kept = { askedMs: number; checks: Readonly<Record<string, readonly HealthCheck[]>> }

type Parts = {
  providers: readonly Provider[]
  storage: { read(): Promise<Kept | undefined>; write(kept: Kept): Promise<void> }
  /** The one alarm of the object. */
  alarm: { currentMs: () => number | undefined; set: (atMs: number) => void }
  intervalMs: number
  log: Log
  /** Unix milliseconds. */
  now: () => number
}

/**
 * The watch over the providers of the installation, as its Durable Object runs it: every interval it has each of them
 * list its models, for as long as somebody has asked within the last hour.
 */
export function createHealthWatch(parts: Parts): HealthMonitor & { wake(): Promise<void> } {
  const { providers, storage, alarm, intervalMs, now } = parts
  let known: Kept | undefined
  let notedAskedMs = 0

  const load = async (): Promise<Kept> => {
    if (known) return known
    const kept = await storage.read()
    // Somebody else may have read it meanwhile.
    if (known) return known
    known = kept ?? { askedMs: 0, checks: {} }
    notedAskedMs = known.askedMs
    return known
  }

  const keep = async (kept: Kept): Promise<void> => {
    known = kept
    notedAskedMs = kept.askedMs
    await storage.write(kept)
  }

  return {
    async read() {
      const { checks } = await load()
      const nowMs = now()
      known = { askedMs: nowMs, checks }
      if (alarm.currentMs() === undefined) alarm.set(nowMs)
      if (nowMs - notedAskedMs > NOTE_ASKED_MS) await keep(known)
      return providers.map(({ name }) => ({ name, checks: checks[name] ?? [] }))
    },

    /** What the alarm runs: the next alarm, and a look at everybody. */
    async wake() {
      const before = await load()
      const startedMs = now()
      if (startedMs - before.askedMs >= WATCH_MS) return
      // First, so that nothing that goes wrong below ends the watch.
      alarm.set(startedMs + intervalMs)
      const found = await checkAll(providers, now)
      const checks = Object.fromEntries(
        providers.map(({ name }, at) => [name, append(before.checks[name] ?? [], found[at], now())]),
      )
      for (const { name } of providers) report(parts, name, { before: before.checks[name], after: checks[name] })
      await keep({ askedMs: known?.askedMs ?? before.askedMs, checks })
    },
  }
}

function append(checks: readonly HealthCheck[], check: HealthCheck | undefined, nowMs: number): HealthCheck[] {
  return [...freshOf(checks, nowMs), ...(check ? [check] : [])].slice(-KEPT_CHECKS)
}

/** A check of each, in their order. */
async function checkAll(providers: readonly Provider[], now: () => number): Promise<HealthCheck[]> {
  const found: HealthCheck[] = []
  let next = 0
  const worker = async (): Promise<void> => {
    for (let at = next++; at < providers.length; at = next++) {
      const provider = providers[at]
      if (provider) found[at] = await check(provider, now)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  return found
}

async function check(provider: Provider, now: () => number): Promise<HealthCheck> {
  const atMs = now()
  const timing = new AbortController()
  const timer = setTimeout(() => timing.abort(), CHECK_TIMEOUT_MS)
  const ended = (reason: string | null): HealthCheck => {
    return { atMs, isOk: reason === null, latencyMs: Math.max(0, now() - atMs), reason }
  }
  try {
    await provider.listModels(timing.signal)
    return ended(null)
  } catch (error) {
    return ended(reasonOf(error))
  } finally {
    clearTimeout(timer)
  }
}

/** One word; null for an answer that shows that the provider is well. */
function reasonOf(error: unknown): string | null {
  if (!(error instanceof UpstreamError)) return 'internal'
  const { fault, status } = error
  // Nobody but us ends a check.
  if (fault === 'aborted') return 'timeout'
  if (fault !== 'status') return fault
  return ALIVE.includes(status) ? null : `status_${status ?? 0}`
}

type Change = { before: readonly HealthCheck[] | undefined; after: readonly HealthCheck[] | undefined }

function report({ log, now }: Parts, name: string, { before = [], after = [] }: Change): void {
  const [was, is] = [statusOf(before, now()), statusOf(after, now())]
  if (was === is) return
  const facts = { provider: name, was, is, reason: after.at(-1)?.reason }
  if (is === 'unhealthy') log.warn('provider_unhealthy', facts)
  else log.info('provider_health_changed', facts)
}
