import * as z from 'zod'
import { base64Field } from './body.ts'

const object = z.record(z.string(), z.unknown())

/** Go decodes a missing or null text to the empty one. */
export const textField = z
  .string()
  .nullish()
  .transform((text) => text ?? '')

const toolCall = z.object({
  id: z.string().nullish(),
  function: z.object({ name: textField, arguments: object.nullish(), index: z.number().nullish() }),
})

const message = z.object({
  role: textField,
  content: z.string().nullish(),
  thinking: z.string().nullish(),
  images: z.array(base64Field).nullish(),
  tool_calls: z.array(toolCall).nullish(),
  tool_name: z.string().nullish(),
  tool_call_id: z.string().nullish(),
})

/** The `tools` entry of both API families. */
export const toolField = z.object({
  type: z.string().nullish(),
  function: z.object({ name: textField, description: z.string().nullish(), parameters: object.nullish() }),
})

const levels = ['high', 'medium', 'low', 'max']

const thinkField = z
  .unknown()
  .optional()
  .transform((value, context) => {
    if (value === undefined || value === null || typeof value === 'boolean') return value ?? undefined
    if (typeof value === 'string' && levels.includes(value)) return value
    const rule = '"high", "medium", "low", "max", true, or false)'
    const start =
      typeof value === 'string'
        ? `invalid think value: ${JSON.stringify(value)} (must be`
        : 'think must be a boolean or string ('
    context.addIssue({ code: 'custom', message: typeof value === 'string' ? `${start} ${rule}` : start + rule })
    return z.NEVER
  })

const keepAlive = z.union([z.number(), z.string()]).nullish()

const generation = {
  model: z.string().nullish(),
  stream: z.boolean().nullish(),
  format: z.unknown().optional(),
  think: thinkField,
  options: object.nullish(),
  keep_alive: keepAlive,
  truncate: z.boolean().nullish(),
  shift: z.boolean().nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.number().int().nullish(),
}

export const chatRequest = z.object({
  ...generation,
  messages: z.array(message).nullish(),
  tools: z.array(toolField).nullish(),
})

export const generateRequest = z.object({
  ...generation,
  prompt: z.string().nullish(),
  suffix: z.string().nullish(),
  system: z.string().nullish(),
  template: z.string().nullish(),
  raw: z.boolean().nullish(),
  context: z.array(z.number()).nullish(),
  images: z.array(base64Field).nullish(),
})

export const embedRequest = z.object({
  model: z.string().nullish(),
  input: z.unknown().optional(),
  truncate: z.boolean().nullish(),
  dimensions: z.number().int().nullish(),
  options: object.nullish(),
  keep_alive: keepAlive,
})

export const embeddingsRequest = z.object({
  model: z.string().nullish(),
  prompt: z.string().nullish(),
  options: object.nullish(),
  keep_alive: keepAlive,
})

/** Requests that name one model; `name` is the older spelling. */
export const modelRequest = z.object({
  model: z.string().nullish(),
  name: z.string().nullish(),
  stream: z.boolean().nullish(),
  verbose: z.boolean().nullish(),
  system: z.string().nullish(),
})

export const copyRequest = z.object({ source: z.string().nullish(), destination: z.string().nullish() })

export const createRequest = z.object({
  model: z.string().nullish(),
  name: z.string().nullish(),
  from: z.string().nullish(),
  files: z.record(z.string(), z.string()).nullish(),
  system: z.string().nullish(),
  template: z.string().nullish(),
  parameters: object.nullish(),
  stream: z.boolean().nullish(),
})

export type ChatRequest = z.output<typeof chatRequest>
export type GenerateRequest = z.output<typeof generateRequest>
