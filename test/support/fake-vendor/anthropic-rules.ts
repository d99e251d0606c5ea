import { createHmac } from 'node:crypto'
import * as z from 'zod'

/** Thoughts are signed with what only their vendor knows. */
const signingKey = 'a secret of the fake'

/** The proof that goes with a thought. */
export const signatureOf = (thinking: string): string =>
  `EqoB${createHmac('sha256', signingKey).update(thinking).digest('base64')}`

const cacheControl = z.strictObject({ type: z.literal('ephemeral'), ttl: z.enum(['5m', '1h']).optional() })
const mark = { cache_control: cacheControl.nullish() }
const text = z.strictObject({
  type: z.literal('text'),
  text: z.string().regex(/\S/, 'text content blocks must contain non-whitespace text'),
  citations: z.array(z.unknown()).nullish(),
  ...mark,
})
const image = z.strictObject({
  type: z.literal('image'),
  source: z.discriminatedUnion('type', [
    z.strictObject({
      type: z.literal('base64'),
      media_type: z.enum(['image/jpeg', 'image/png', 'image/gif', 'image/webp']),
      data: z.base64().min(1),
    }),
    z.strictObject({ type: z.literal('url'), url: z.url({ protocol: /^https$/ }) }),
  ]),
  ...mark,
})
const document = z.strictObject({
  type: z.literal('document'),
  source: z.discriminatedUnion('type', [
    z.strictObject({ type: z.literal('base64'), media_type: z.literal('application/pdf'), data: z.base64().min(1) }),
    z.strictObject({ type: z.literal('text'), media_type: z.literal('text/plain'), data: z.string() }),
    z.strictObject({ type: z.literal('url'), url: z.url({ protocol: /^https$/ }) }),
  ]),
  title: z.string().nullish(),
  ...mark,
})
const thinking = z.strictObject({ type: z.literal('thinking'), thinking: z.string(), signature: z.string() })
const redacted = z.strictObject({ type: z.literal('redacted_thinking'), data: z.string().startsWith('Er') })
const toolId = z.string().regex(/^[a-zA-Z0-9_-]{1,64}$/, 'String should match pattern ^[a-zA-Z0-9_-]+$')
const toolUse = z.strictObject({
  type: z.literal('tool_use'),
  id: toolId,
  name: z.string().regex(/^[a-zA-Z0-9_-]{1,128}$/),
  input: z.record(z.string(), z.unknown()),
  caller: z.looseObject({ type: z.string() }).optional(),
  ...mark,
})
const toolResult = z.strictObject({
  type: z.literal('tool_result'),
  tool_use_id: toolId,
  content: z.union([z.string(), z.array(z.union([text, image, document]))]).optional(),
  is_error: z.boolean().optional(),
  ...mark,
})
const said = (...blocks: Parameters<typeof z.union>[0][number][]) =>
  z.union([z.string().min(1), z.array(z.union(blocks)).min(1)])

const tool = z.strictObject({
  name: z.string().regex(/^[a-zA-Z0-9_-]{1,128}$/),
  description: z.string().optional(),
  input_schema: z.looseObject({ type: z.literal('object') }),
  strict: z.boolean().optional(),
  ...mark,
})
const single = { disable_parallel_tool_use: z.boolean().optional() }
const Request = z.strictObject({
  model: z.string().min(1),
  max_tokens: z.int().min(0),
  messages: z
    .array(
      z.discriminatedUnion('role', [
        z.strictObject({ role: z.literal('user'), content: said(text, image, document, toolResult) }),
        z.strictObject({ role: z.literal('assistant'), content: said(text, thinking, redacted, toolUse) }),
      ]),
    )
    .min(1),
  system: z.union([z.string(), z.array(text)]).optional(),
  tools: z.array(tool).optional(),
  tool_choice: z
    .discriminatedUnion('type', [
      z.strictObject({ type: z.literal('auto'), ...single }),
      z.strictObject({ type: z.literal('any'), ...single }),
      z.strictObject({ type: z.literal('tool'), name: z.string(), ...single }),
      z.strictObject({ type: z.literal('none') }),
    ])
    .optional(),
  thinking: z
    .discriminatedUnion('type', [
      z.strictObject({ type: z.literal('enabled'), budget_tokens: z.int().min(1024) }),
      z.strictObject({ type: z.literal('adaptive'), display: z.enum(['summarized', 'omitted']).optional() }),
      z.strictObject({ type: z.literal('disabled') }),
      z.strictObject({ type: z.literal('between_tools') }),
    ])
    .optional(),
  output_config: z
    .strictObject({
      effort: z.enum(['low', 'medium', 'high', 'xhigh', 'max']).optional(),
      format: z.strictObject({ type: z.literal('json_schema'), schema: z.looseObject({}) }).optional(),
    })
    .optional(),
  stream: z.boolean().optional(),
  temperature: z.number().min(0).max(1).optional(),
  top_p: z.number().min(0).max(1).optional(),
  top_k: z.int().min(0).optional(),
  stop_sequences: z.array(z.string().regex(/\S/, 'each stop sequence must contain non-whitespace')).optional(),
  metadata: z.strictObject({ user_id: z.string().max(256).nullish() }).optional(),
  service_tier: z.enum(['auto', 'standard_only']).optional(),
})

export type MessagesRequest = z.infer<typeof Request>
type Message = MessagesRequest['messages'][number]
export type Block = { type: string; [field: string]: unknown }

export const blocksIn = ({ content }: Message): Block[] =>
  typeof content === 'string' ? [{ type: 'text', text: content }] : (content as Block[])

/** The rules that span more than one field; each gives the vendor's own complaint. */
const rules: readonly ((request: MessagesRequest) => string | undefined)[] = [
  ({ messages }) => (messages[0]?.role === 'user' ? undefined : 'messages: first message must use the "user" role'),
  pairedCalls,
  uniqueCalls,
  intactThoughts,
  thinkingRoom,
  calmThinking,
  begunWithThoughts,
  ({ tools, tool_choice }) =>
    tool_choice && !tools?.length ? 'tool_choice may only be specified while providing tools' : undefined,
  ({ messages, tools }) =>
    messages.some((message) => blocksIn(message).some(({ type }) => type === 'tool_use')) && !tools?.length
      ? 'Requests which include `tool_use` or `tool_result` blocks must define tools'
      : undefined,
  marksInReach,
]

/** Every call is answered in the next turn, before anything else is said there, and nothing else is answered. */
function pairedCalls({ messages }: MessagesRequest): string | undefined {
  for (const [position, message] of messages.entries()) {
    const blocks = blocksIn(message)
    const results = blocks.filter(({ type }) => type === 'tool_result').map(({ tool_use_id: id }) => id)
    const before = messages[position - 1]
    const calls = before?.role === 'assistant' ? callsIn(before) : []
    const stray = results.find((id) => !calls.includes(id))
    if (stray !== undefined) return `messages.${position}.content.0: unexpected \`tool_use_id\` found: ${stray}`
    const first = blocks.findIndex(({ type }) => type !== 'tool_result')
    if (first >= 0 && first < results.length) return `messages.${position}: tool_result blocks must come first`
    const missing = calls.filter((id) => !results.includes(id))
    if (missing.length > 0) return `messages.${position}: \`tool_use\` ids were found without \`tool_result\` blocks`
  }
  return undefined
}

const callsIn = (message: Message) => blocksIn(message).flatMap(({ type, id }) => (type === 'tool_use' ? [id] : []))

function uniqueCalls({ messages }: MessagesRequest): string | undefined {
  const calls = messages.flatMap(callsIn)
  return new Set(calls).size === calls.length ? undefined : 'messages: `tool_use` ids must be unique'
}

function intactThoughts({ messages }: MessagesRequest): string | undefined {
  const thoughts = messages.flatMap(blocksIn).filter(({ type }) => type === 'thinking')
  const isForged = thoughts.some(({ thinking: thought, signature }) => signatureOf(String(thought)) !== signature)
  return isForged ? 'messages.1.content.0: Invalid `signature` in `thinking` block' : undefined
}

function thinkingRoom({ thinking: config, max_tokens: most }: MessagesRequest): string | undefined {
  const isFull = config?.type === 'enabled' && config.budget_tokens >= most
  return isFull ? '`max_tokens` must be greater than `thinking.budget_tokens`' : undefined
}

function calmThinking({ thinking: config, temperature, top_k, tool_choice }: MessagesRequest): string | undefined {
  if (config?.type !== 'enabled' && config?.type !== 'adaptive') return undefined
  if (temperature !== undefined && temperature !== 1)
    return '`temperature` may only be set to 1 when thinking is enabled'
  if (top_k !== undefined) return '`top_k` must be unset when thinking is enabled'
  const forces = tool_choice?.type === 'any' || tool_choice?.type === 'tool'
  return forces ? 'Thinking may not be enabled when tool_choice forces tool use.' : undefined
}

/** Only with a budget: a model that thinks as it sees fit may not have thought. */
function begunWithThoughts({ thinking: config, messages }: MessagesRequest): string | undefined {
  const [calling, answering] = messages.slice(-2)
  if (config?.type !== 'enabled' || !calling || !answering || callsIn(calling).length === 0) return undefined
  const first = blocksIn(calling)[0]?.type ?? ''
  return /thinking$/.test(first)
    ? undefined
    : `messages.${messages.length - 2}.content.0.type: Expected \`thinking\` or \`redacted_thinking\`, but found \`${first}\``
}

function marksInReach(request: MessagesRequest): string | undefined {
  const marks = JSON.stringify(request).split('"cache_control":{').length - 1
  return marks > 4 ? `A maximum of 4 blocks with cache_control may be provided. Found ${marks}.` : undefined
}

export type Checked = { ok: true; request: MessagesRequest } | { ok: false; complaint: string }

/** Reads a body as the vendor would; `counting` leaves out what is not counted. */
export function checkMessages(body: unknown, { counting = false } = {}): Checked {
  const schema = counting
    ? Request.omit({ max_tokens: true, stream: true, metadata: true, service_tier: true })
    : Request
  const parsed = schema.safeParse(body)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    return { ok: false, complaint: `${issue?.path.join('.')}: ${issue?.message}` }
  }
  const request: MessagesRequest = { max_tokens: Number.MAX_SAFE_INTEGER, ...parsed.data }
  for (const rule of rules) {
    const complaint = rule(request)
    if (complaint !== undefined) return { ok: false, complaint }
  }
  return { ok: true, request }
}
