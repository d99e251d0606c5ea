import type { NativeRequest } from '../../core/models.ts'
import { type Asked, type ChatRequest, readRequest } from '../completions/service.ts'
import type { Losses } from './parts.ts'
import { type CountRequest, lostOf, type MessagesRequest } from './schema.ts'
import { chatTools, isRunByVendor } from './tools.ts'
import { chatMessages, isForeign } from './turns.ts'

/** Ours, wherever a caller may put them; no vendor must see them. */
const OURS = ['helix', 'provider', 'force_provider'] as const

/** What a chat body has a word for, and what changes nothing when it is left out. */
const UNDERSTOOD: ReadonlySet<string> = new Set([
  ...OURS,
  'model',
  'messages',
  'system',
  'max_tokens',
  'stream',
  'temperature',
  'top_p',
  'top_k',
  'stop_sequences',
  'metadata',
  'service_tier',
  'tools',
  'tool_choice',
  'thinking',
  'output_config',
  'inference_geo',
  'speed',
  'cache_control',
  'diagnostics',
])

type Request = CountRequest & Partial<Pick<MessagesRequest, 'max_tokens' | OptionalField>>
type OptionalField = 'stream' | 'temperature' | 'top_p' | 'top_k' | 'stop_sequences' | 'metadata' | 'service_tier'

/**
 * A request of the Messages interface as every target can take it, with its own words beside it for those that speak
 * them. `headers` are the caller's.
 */
export function askedOfMessages(request: Request, headers?: Headers): Asked {
  const untranslated: Losses = new Set()
  for (const [field, value] of Object.entries(request)) {
    if (!UNDERSTOOD.has(field) && value !== null && value !== undefined) untranslated.add(field)
  }
  const chat = chatRequest(request, untranslated)
  return {
    ...readRequest(chat),
    lost: lostOf(request),
    translation: {
      native: isForeign(request.messages) ? undefined : nativeRequest(request, headers),
      untranslated: [...untranslated],
      effort: effortOf(request),
      readsMore: Boolean(request.mcp_servers) || isCompacted(request) || (request.tools ?? []).some(isRunByVendor),
    },
  }
}

/** Whether the vendor has the conversation summarized, for which it reads it once more and writes beyond `max_tokens`. */
function isCompacted({ compaction, context_management: management }: Request): boolean {
  const edits = isFields(management) && Array.isArray(management.edits) ? management.edits : []
  return Boolean(compaction) || edits.some((edit: unknown) => isFields(edit) && /^compact/.test(String(edit.type)))
}

const isFields = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null

function chatRequest(request: Request, lost: Losses): ChatRequest {
  const { model, temperature, top_p, top_k, stop_sequences: stop, metadata, max_tokens, stream } = request
  const { helix, provider, force_provider } = request
  const given = { temperature, top_p, top_k, max_tokens, helix, provider, force_provider }
  return {
    model,
    messages: chatMessages(request, lost),
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined && value !== null)),
    ...(stream === true && { stream }),
    ...(stop && stop.length > 0 && { stop }),
    ...(typeof metadata?.user_id === 'string' && { user: metadata.user_id }),
    ...chatTools(request, lost),
    ...formatOf(request, lost),
  }
}

function formatOf({ output_config: config }: Request, lost: Losses): Pick<ChatRequest, 'response_format'> {
  const format = config?.format
  if (!format) return {}
  if (format.type === 'json_schema' && format.schema) {
    const schema = { name: 'output', strict: true, schema: format.schema }
    return { response_format: { type: 'json_schema', json_schema: schema } }
  }
  lost.add('output_config.format')
  return {}
}

/** The levels that every model which thinks understands. */
const LEVELS: Readonly<Record<string, string>> = {
  low: 'low',
  medium: 'medium',
  high: 'high',
  xhigh: 'high',
  max: 'high',
}
/** Budgets of thought, in tokens, up to which a level stands for them. */
const BUDGETS = [
  { most: 4096, level: 'low' },
  { most: 16_384, level: 'medium' },
  { most: Number.POSITIVE_INFINITY, level: 'high' },
]

function effortOf({ thinking, output_config: config }: Request): { level: string; field: string } | undefined {
  const { effort } = config ?? {}
  const asked = typeof effort === 'string' && Object.hasOwn(LEVELS, effort) ? LEVELS[effort] : undefined
  if (asked !== undefined) return { level: asked, field: 'output_config.effort' }
  const budget = thinking?.budget_tokens
  const level = budget === undefined ? undefined : BUDGETS.find(({ most }) => budget <= most)?.level
  return thinking?.type === 'enabled' && level !== undefined ? { level, field: 'thinking' } : undefined
}

/** Of a caller's headers, those that are about the wire. */
const WIRE_HEADERS = ['anthropic-version', 'anthropic-beta']

function nativeRequest(request: Request, headers: Headers | undefined): NativeRequest {
  const body: Record<string, unknown> = { ...request }
  for (const field of [...OURS, ...lostOf(request)]) delete body[field]
  const passed = WIRE_HEADERS.flatMap((name) => {
    const value = headers?.get(name)
    return value ? [[name, value]] : []
  })
  return { wire: 'anthropic', body, ...(passed.length > 0 && { headers: Object.fromEntries(passed) }) }
}
