import * as z from 'zod'
import { errorBody, type VendorErrorBody } from './errors.ts'

const wholeNumber = (least: number, most: number) => z.int().min(least).max(most).nullish()
const role = z.enum(['developer', 'system', 'user', 'assistant', 'tool', 'function'])
const message = z
  .looseObject({
    role,
    content: z.union([z.string(), z.array(z.looseObject({ type: z.string() }))]).nullish(),
    tool_calls: z
      .array(z.looseObject({ id: z.string(), type: z.enum(['function', 'custom']) }))
      .min(1)
      .nullish(),
    tool_call_id: z.string().nullish(),
  })
  .superRefine((value, context) => {
    const refuse = (field: string, text: string) => context.addIssue({ code: 'custom', path: [field], message: text })
    if (value.role === 'tool' && !value.tool_call_id)
      refuse('tool_call_id', "Missing required parameter: 'tool_call_id'.")
    const mayBeEmpty = value.role === 'assistant' && value.tool_calls
    if (value.content == null && !mayBeEmpty)
      refuse('content', "Invalid value for 'content': expected a string, got null.")
  })

const toolName = z.string().regex(/^[a-zA-Z0-9_-]{1,64}$/)
const tool = z.discriminatedUnion('type', [
  z.looseObject({ type: z.literal('function'), function: z.looseObject({ name: toolName, parameters: z.unknown() }) }),
  z.looseObject({ type: z.literal('custom'), custom: z.looseObject({ name: toolName }) }),
])
const toolChoice = z.union([
  z.enum(['none', 'auto', 'required']),
  z.looseObject({ type: z.literal('function'), function: z.looseObject({ name: z.string() }) }),
  z.looseObject({ type: z.literal('custom'), custom: z.looseObject({ name: z.string() }) }),
  z.looseObject({
    type: z.literal('allowed_tools'),
    allowed_tools: z.looseObject({ mode: z.enum(['auto', 'required']), tools: z.array(z.unknown()) }),
  }),
])

const shared = {
  model: z.string().min(1),
  user: z.string().nullish(),
  metadata: z.record(z.string(), z.string()).nullish(),
}
const sampling = {
  ...shared,
  n: wholeNumber(1, 128),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  stop: z.union([z.string(), z.array(z.string()).max(4)]).nullish(),
  max_tokens: wholeNumber(1, 1_000_000),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
}
const chat = z.looseObject({
  ...sampling,
  messages: z.array(message).min(1),
  max_completion_tokens: wholeNumber(1, 1_000_000),
  tools: z.array(tool).min(1).max(128).nullish(),
  tool_choice: toolChoice.nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  response_format: z
    .discriminatedUnion('type', [
      z.looseObject({ type: z.literal('text') }),
      z.looseObject({ type: z.literal('json_object') }),
      z.looseObject({
        type: z.literal('json_schema'),
        json_schema: z.looseObject({ name: toolName, schema: z.unknown() }),
      }),
    ])
    .nullish(),
})
const tokens = z.array(z.int().min(0)).min(1)
const prompt = z.union([z.string(), tokens, z.array(z.string()).min(1), z.array(tokens).min(1)])
const completion = z.looseObject({ ...sampling, prompt })
const embedding = z.looseObject({
  ...shared,
  input: z.union([
    z.string().min(1),
    tokens,
    z.array(z.string().min(1)).min(1).max(2048),
    z.array(tokens).min(1).max(2048),
  ]),
  dimensions: wholeNumber(1, 3072),
  encoding_format: z.enum(['float', 'base64']).nullish(),
})

export type ChatRequest = z.infer<typeof chat>
export type CompletionRequest = z.infer<typeof completion>
export type EmbeddingRequest = z.infer<typeof embedding>
export type Tool = z.infer<typeof tool>
export type Checked<Body> = { ok: true; body: Body } | { ok: false; refusal: VendorErrorBody }

const parameterOf = (path: readonly PropertyKey[]) =>
  path.reduce<string>(
    (text, step) => (typeof step === 'number' ? `${text}[${step}]` : text ? `${text}.${String(step)}` : String(step)),
    '',
  )

/** Narrows a body to `schema`, or says in OpenAI's words which parameter is at fault. */
function check<Schema extends z.ZodType>(schema: Schema, body: unknown): Checked<z.infer<Schema>> {
  const result = schema.safeParse(body)
  if (result.success) return { ok: true, body: result.data }
  const issue = result.error.issues[0]
  const param = parameterOf(issue?.path ?? [])
  const missing = issue?.code === 'invalid_type' && issue.message.endsWith('received undefined')
  const detail = issue?.code === 'custom' ? issue.message : `Invalid value for '${param}': ${issue?.message ?? ''}.`
  const code = missing ? 'missing_required_parameter' : 'invalid_value'
  return refuse(missing ? `Missing required parameter: '${param}'.` : detail, param, code)
}

const refuse = (text: string, param: string, code: string | null = null) => ({
  ok: false as const,
  refusal: errorBody(text, 'invalid_request_error', { param: param === '' ? null : param, code }),
})

/** A real vendor knows none of a gateway's own fields; other unknown ones pass, since vendors differ in theirs. */
const foreignField = (body: Record<string, unknown>) => Object.keys(body).find((name) => /^x?[_-]?helix/i.test(name))

function checkStreaming(body: {
  stream?: boolean | null | undefined
  stream_options?: unknown
  [field: string]: unknown
}) {
  const foreign = foreignField(body)
  if (foreign !== undefined) return refuse(`Unrecognized request argument supplied: ${foreign}`, '')
  if (body.stream_options == null || body.stream === true) return undefined
  return refuse("The 'stream_options' parameter is only allowed when 'stream' is enabled.", 'stream_options')
}

/** Tool results must answer calls that an assistant message before them made. */
function strayToolResult(messages: ChatRequest['messages']): number {
  const known = new Set<string>()
  return messages.findIndex((one) => {
    for (const call of one.tool_calls ?? []) known.add(call.id)
    return one.role === 'tool' && !known.has(one.tool_call_id ?? '')
  })
}

export function checkChat(given: unknown): Checked<ChatRequest> {
  const checked = check(chat, given)
  if (!checked.ok) return checked
  const { body } = checked
  const streaming = checkStreaming(body)
  if (streaming) return streaming
  if (body.max_tokens != null && body.max_completion_tokens != null) {
    const text = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
    return refuse(text, 'max_tokens', 'invalid_parameter_combination')
  }
  if (body.tool_choice != null && !body.tools)
    return refuse("'tool_choice' is only allowed when 'tools' are specified.", 'tool_choice')
  const stray = strayToolResult(body.messages)
  if (stray < 0) return checked
  return refuse(
    "Messages with role 'tool' must be a response to a preceding message with 'tool_calls'.",
    `messages[${stray}].role`,
  )
}

export function checkCompletion(given: unknown): Checked<CompletionRequest> {
  const checked = check(completion, given)
  return checked.ok ? (checkStreaming(checked.body) ?? checked) : checked
}

export const checkEmbedding = (given: unknown): Checked<EmbeddingRequest> => check(embedding, given)
