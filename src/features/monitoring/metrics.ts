import type { Ctx } from '../../core/context.ts'
import { metricsKey } from '../ledger/service.ts'

const help: Record<string, { type: 'counter' | 'histogram'; text: string }> = {
  helix_requests_total: { type: 'counter', text: 'Calls that reached a provider, by outcome.' },
  helix_request_duration_seconds: { type: 'histogram', text: 'Time from the request to the end of its answer.' },
  helix_tokens_used_total: { type: 'counter', text: 'Tokens by direction.' },
  helix_llm_cost_nanos_total: { type: 'counter', text: 'Cost in nano-USD.' },
  helix_errors_total: { type: 'counter', text: 'Failed calls by class.' },
  helix_refused_total: { type: 'counter', text: 'Requests refused before any provider, by error code.' },
}

const SUFFIX = /_(bucket|sum|count)$/

/** Counters that the ledgers flush every second; Prometheus text format 0.0.4. */
export async function metricsText(ctx: Ctx): Promise<Response> {
  const orgId = ctx.caller.kind === 'scraper' ? undefined : ctx.caller.orgId
  const [fields] = await ctx.redis.pipeline([['HGETALL', metricsKey(orgId)]])
  return new Response(render(fields), { headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' } })
}

/** Fields are `name{labels}`; sums are kept in whole milliseconds, because Redis adds integers exactly. */
export function render(fields: unknown): string {
  const samples = new Map<string, string[]>()
  const entries = fields !== null && typeof fields === 'object' ? Object.entries(fields) : []
  for (const [field, value] of entries.sort(([left], [right]) => (left < right ? -1 : 1))) {
    const brace = field.indexOf('{')
    const name = field.slice(0, brace)
    const inSeconds = name.endsWith('_milliseconds_sum')
    const shown = inSeconds ? name.replace('_milliseconds_sum', '_seconds_sum') : name
    const family = help[shown] ? shown : shown.replace(SUFFIX, '')
    const lines = samples.get(family) ?? []
    lines.push(`${shown}${field.slice(brace)} ${inSeconds ? Number(value) / 1000 : Number(value)}`)
    if (shown.endsWith('_count')) lines.push(infinite(shown, field.slice(brace), Number(value)))
    samples.set(family, lines)
  }
  const blocks = [...samples].map(([family, lines]) => {
    const about = help[family]
    const head = about ? [`# HELP ${family} ${about.text}`, `# TYPE ${family} ${about.type}`] : []
    return [...head, ...lines].join('\n')
  })
  return `${blocks.join('\n')}\n`
}

/** Every histogram ends in a bucket that holds all. */
const infinite = (name: string, labels: string, value: number): string =>
  `${name.replace(/_count$/, '_bucket')}${labels.slice(0, -1)},le="+Inf"} ${value}`
