import type { ChatCall, NativeRequest } from '../../core/models.ts'
import { FALLBACK_MAX_TOKENS, type MaxOutputOf } from './anthropic-request.ts'
import { countOf, type JsonObject } from './json-shape.ts'

/**
 * Previews that a caller may switch on: they change the form of a request or an answer. Left out are those that cost
 * more than we book, let another model answer, reach other servers, or touch what our account shares between callers
 * (files, containers, skills, agents).
 */
const KNOWN_BETAS = new RegExp(
  `^(?:${[
    'claude-code',
    'compact',
    'computer-use',
    'context-management',
    'effort',
    'extended-cache-ttl',
    'fine-grained-tool-streaming',
    'interleaved-thinking',
    'max-tokens-3-5-sonnet',
    'mid-conversation-(?:system-clear-at|system|tool-changes|output-config)',
    'model-context-window-exceeded',
    'output-128k',
    'pdfs',
    'prompt-caching(?:-scope)?',
    'structured-outputs',
    'task-budgets',
    'thinking-(?:binding-controls|display-updates|token-count)',
    'token-counting',
    'token-efficient-tools',
    'tool-examples',
    'tools',
  ].join('|')})-\\d{4}-\\d{2}-\\d{2}$`,
)

/** What the caller's client was written for; between them the shapes of requests and answers differ. */
const KNOWN_VERSIONS: ReadonlySet<string> = new Set(['2023-06-01', '2026-10-21'])

/** A region or a speed of its own costs more than the listed price. */
const listedOnly: Readonly<Record<string, readonly unknown[]>> = {
  speed: ['standard', null],
  inference_geo: ['global', null],
}

/** What the vendor counts of a request; it refuses every other field there. */
const countedFields = [
  'model',
  'messages',
  'system',
  'tools',
  'tool_choice',
  'thinking',
  'output_config',
  'cache_control',
  'context_management',
]

export type NativeCall = { body: JsonObject; headers: Record<string, string>; ignored: string[] }

/** The request of a caller who speaks this wire, for this call; undefined when they speak another. */
export function nativeCall(call: ChatCall, maxOutputOf: MaxOutputOf): NativeCall | undefined {
  const { native, model, maxOutputTokens } = call
  if (native?.wire !== 'anthropic') return undefined
  const wish = countOf(native.body.max_tokens) ?? maxOutputTokens ?? maxOutputOf(model) ?? FALLBACK_MAX_TOKENS
  const maxTokens = Math.min(wish, maxOutputTokens ?? wish)
  const { headers, ignored } = headersOf(native)
  const body: JsonObject = { ...native.body, model, max_tokens: maxTokens, stream: call.body.stream === true }
  for (const [field, listed] of Object.entries(listedOnly)) {
    if (!(field in body) || listed.includes(body[field])) continue
    delete body[field]
    ignored.push(field)
  }
  return { body, headers, ignored }
}

/** The caller's own headers of this wire, reduced to what is known. */
function headersOf({ headers = {} }: NativeRequest): Pick<NativeCall, 'headers' | 'ignored'> {
  const version = headers['anthropic-version']
  const asked = (headers['anthropic-beta'] ?? '').split(',').flatMap((name) => name.trim() || [])
  const known = asked.filter((name) => KNOWN_BETAS.test(name))
  return {
    headers: {
      ...(version !== undefined && KNOWN_VERSIONS.has(version) ? { 'anthropic-version': version } : {}),
      ...(known.length === 0 ? {} : { 'anthropic-beta': known.join(',') }),
    },
    ignored: known.length < asked.length ? ['anthropic-beta'] : [],
  }
}

/** Of a request's body, what tokens are counted of. */
export const countedBody = (body: JsonObject): JsonObject =>
  Object.fromEntries(countedFields.flatMap((field) => (field in body ? [[field, body[field]]] : [])))
