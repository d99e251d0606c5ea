import type { Ctx } from '../../core/context.ts'
import { wholeResponse } from '../../http/whole.ts'
import { redisKeys } from '../admission/service.ts'
import { DURATION_EDGES, label, metricsKey } from '../ledger/service.ts'

const help: Record<string, { type: 'counter' | 'histogram'; text: string }> = {
  helix_requests_total: { type: 'counter', text: 'Calls that reached a provider, by outcome.' },
  helix_request_duration_seconds: { type: 'histogram', text: 'Time from the request to the end of its answer.' },
  helix_tokens_used_total: { type: 'counter', text: 'Tokens by direction.' },
  helix_llm_cost_nanos_total: { type: 'counter', text: 'Cost in nano-USD.' },
  helix_errors_total: { type: 'counter', text: 'Failed calls by class.' },
  helix_budget_thresholds_total: { type: 'counter', text: 'Budgets that reached a share of their limit, in percent.' },
  helix_refused_total: { type: 'counter', text: 'Requests refused before any provider, by error code.' },
  helix_jobs_total: { type: 'counter', text: 'Runs of scheduled work, by job.' },
  helix_job_failures_total: { type: 'counter', text: 'What a job was to do and could not, organisations for most.' },
  helix_system_queries_total: { type: 'counter', text: 'Statements of jobs that cross organisations.' },
  helix_ledger_drift_total: {
    type: 'counter',
    text: 'Days whose books do not agree, by what they were compared with.',
  },
}

/**
 * Counters that the ledgers flush every second, and for whoever watches the installation its breakers; Prometheus text
 * format 0.0.4.
 */
export async function metricsText(ctx: Ctx): Promise<Response> {
  const isScraper = ctx.caller.kind === 'scraper'
  const counters = ['HGETALL', metricsKey(isScraper ? undefined : ctx.caller.orgId)] as const
  const breakers = isScraper ? [['HGETALL', redisKeys.breakers()] as const] : []
  const [fields, moved] = await ctx.redis.pipeline([counters, ...breakers])
  const text = render(fields) + renderBreakers(moved, ctx.now())
  return wholeResponse(text, { headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' } })
}

/** Fields are what breakers go by, with the time until which each is open (Unix ms), 0 when it is closed. */
export function renderBreakers(moved: unknown, nowMs: number): string {
  const known = moved !== null && typeof moved === 'object' ? Object.entries(moved) : []
  if (known.length === 0) return ''
  const stateOf = (untilMs: number): number => (untilMs === 0 ? 0 : untilMs > nowMs ? 1 : 2)
  const lines = known.map(([id, until]) => `helix_breaker_state{target="${label(id)}"} ${stateOf(Number(until))}`)
  return [
    '# HELP helix_breaker_state Breakers that moved in the last day: 0 closed, 1 open, 2 half open.',
    '# TYPE helix_breaker_state gauge',
    ...lines.sort(),
    '',
  ].join('\n')
}

type Sample = { name: string; labels: string; value: number }

/** Fields are `name{labels}`, as the ledgers count them; the text has each family once, in the order of `help`. */
export function render(fields: unknown): string {
  const samples = samplesOf(fields)
  const blocks = Object.entries(help).flatMap(([family, { type, text }]) => {
    const lines = type === 'counter' ? counterLines(samples, family) : histogramLines(samples, family)
    return lines.length === 0 ? [] : [[`# HELP ${family} ${text}`, `# TYPE ${family} ${type}`, ...lines].join('\n')]
  })
  return blocks.map((block) => `${block}\n`).join('')
}

function samplesOf(fields: unknown): Sample[] {
  const entries = fields !== null && typeof fields === 'object' ? Object.entries(fields) : []
  return entries
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([field, value]) => {
      const brace = field.indexOf('{')
      return { name: field.slice(0, brace), labels: field.slice(brace + 1, -1), value: Number(value) }
    })
}

const counterLines = (samples: readonly Sample[], family: string): string[] =>
  samples.filter(({ name }) => name === family).map(({ labels, value }) => `${family}{${labels}} ${value}`)

/**
 * Every edge, also those that no call has stayed under yet, in rising order, and the bucket that holds all. Sums are
 * kept in whole milliseconds, because Redis adds integers exactly.
 */
function histogramLines(samples: readonly Sample[], family: string): string[] {
  const values = new Map(samples.map(({ name, labels, value }) => [`${name}{${labels}}`, value]))
  const sumName = `${family.replace(/_seconds$/, '_milliseconds')}_sum`
  return samples
    .filter(({ name }) => name === `${family}_count`)
    .flatMap(({ labels, value: count }) => {
      const buckets = DURATION_EDGES.map((edge) => {
        const bucket = `${family}_bucket{${labels},le="${edge}"}`
        return `${bucket} ${values.get(bucket) ?? 0}`
      })
      return [
        ...buckets,
        `${family}_bucket{${labels},le="+Inf"} ${count}`,
        `${family}_sum{${labels}} ${(values.get(`${sumName}{${labels}}`) ?? 0) / 1000}`,
        `${family}_count{${labels}} ${count}`,
      ]
    })
}
