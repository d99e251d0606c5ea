import * as z from 'zod'
import { pageFields, pageOf } from '../../http/page.ts'
import { ChatOptions, ChatRequest } from '../completions/service.ts'
import { Input } from './items-schema.ts'

type Fault = { path: (string | number)[]; message: string }

const Tool = z.looseObject({
  type: z.string().min(1),
  name: z.string().nullish(),
  description: z.string().nullish(),
  parameters: z.looseObject({}).nullish(),
  strict: z.boolean().nullish(),
  format: z.looseObject({ type: z.string() }).nullish(),
})

export type Tool = z.infer<typeof Tool>

const ToolChoice = z.union([
  z.enum(['none', 'auto', 'required']),
  z.looseObject({
    type: z.string(),
    name: z.string().nullish(),
    mode: z.string().nullish(),
    tools: z.array(z.looseObject({ type: z.string(), name: z.string().nullish() })).nullish(),
  }),
])

const Format = z.looseObject({
  type: z.enum(['text', 'json_object', 'json_schema']),
  name: z.string().nullish(),
  schema: z.looseObject({}).nullish(),
  description: z.string().nullish(),
  strict: z.boolean().nullish(),
})

const string = z.string().nullish()

const fields = {
  model: z.string().min(1).max(255),
  input: Input.nullish(),
  instructions: string,
  previous_response_id: string,
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_obfuscation: z.boolean().nullish() }).nullish(),
  store: z.boolean().nullish(),
  background: z.boolean().nullish(),
  include: z.array(z.string()).max(32).nullish(),
  max_output_tokens: z.int().min(1).nullish(),
  max_tool_calls: z.int().min(1).nullish(),
  temperature: ChatRequest.shape.temperature,
  top_p: ChatRequest.shape.top_p,
  top_logprobs: ChatRequest.shape.top_logprobs,
  tools: z.array(Tool).max(128).nullish(),
  tool_choice: ToolChoice.nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  text: z.looseObject({ format: Format.nullish(), verbosity: string }).nullish(),
  reasoning: z.looseObject({ effort: string, summary: string, generate_summary: string }).nullish(),
  truncation: z.enum(['auto', 'disabled']).nullish(),
  metadata: ChatRequest.shape.metadata,
  service_tier: string,
  user: string,
  safety_identifier: string,
  prompt_cache_key: string,
  prompt_cache_retention: string,
  helix: ChatOptions.nullish(),
  provider: z.string().min(1).max(64).nullish(),
  force_provider: z.string().min(1).max(64).nullish(),
}

/** Fields that ask for something that there is none of here. To leave them out would change what is asked. */
const REFUSED = ['conversation', 'prompt'] as const

/**
 * The body of OpenAI's Responses interface.
 * https://platform.openai.com/docs/api-reference/responses/create
 */
export const CreateResponse = z.looseObject(fields).superRefine((request, { addIssue }) => {
  const lost = request.helix?.strict === true ? lostOf(request).map(lostFault) : []
  for (const fault of [...faultsOf(request), ...lost]) addIssue({ code: 'custom', ...fault })
})

export type CreateResponse = z.infer<typeof CreateResponse>

type Request = z.infer<z.ZodObject<typeof fields, z.core.$loose>>

const isGiven = (value: unknown): boolean => value !== undefined && value !== null

const lostFault = (field: string): Fault => ({ path: [field], message: `no target can be asked for '${field}'` })

/** What is dropped whoever answers. */
export function lostOf(request: Readonly<Record<string, unknown>>): string[] {
  const unknown = Object.keys(request).filter((field) => !Object.hasOwn(fields, field) && isGiven(request[field]))
  // What does not fit is the target's to refuse: nothing is cut out of a conversation here.
  return request.truncation === 'auto' ? [...unknown, 'truncation'] : unknown
}

function faultsOf(request: Request): Fault[] {
  const faults: Fault[] = REFUSED.filter((field) => isGiven(request[field])).map((field) => ({
    path: [field],
    message: 'is not supported here',
  }))
  if (request.background)
    faults.push({ path: ['background'], message: 'responses in the background are not supported' })
  const { input, previous_response_id: before } = request
  if (!isGiven(input) && !isGiven(before)) faults.push({ path: ['input'], message: 'required' })
  else if (input?.length === 0 && !isGiven(before)) faults.push({ path: ['input'], message: 'must not be empty' })
  return [...faults, ...toolFaults(request), ...formatFaults(request)]
}

/** Tools that the caller runs. Those that a vendor runs are for a vendor's own interface. */
const CALLED: ReadonlySet<string> = new Set(['function', 'custom'])

function toolFaults({ tools, tool_choice: choice }: Request): Fault[] {
  const faults = (tools ?? []).flatMap((tool, at) => faultsOfTool(tool, ['tools', at]))
  if (!choice || typeof choice === 'string') return faults
  if (choice.type !== 'allowed_tools') return [...faults, ...faultsOfTool(choice, ['tool_choice'])]
  const { mode, tools: allowed } = choice
  if (mode !== 'auto' && mode !== 'required') {
    faults.push({ path: ['tool_choice', 'mode'], message: "expected 'auto' or 'required'" })
  }
  if (!allowed) faults.push({ path: ['tool_choice', 'tools'], message: 'required' })
  return [...faults, ...(allowed ?? []).flatMap((tool, at) => faultsOfTool(tool, ['tool_choice', 'tools', at]))]
}

function faultsOfTool({ type, name }: Pick<Tool, 'type' | 'name'>, path: (string | number)[]): Fault[] {
  if (!CALLED.has(type)) return [{ path: [...path, 'type'], message: `'${type}' is not supported here` }]
  return name ? [] : [{ path: [...path, 'name'], message: `required of ${type}` }]
}

function formatFaults({ text }: Request): Fault[] {
  const format = text?.format
  if (format?.type !== 'json_schema') return []
  const path = ['text', 'format']
  return (['name', 'schema'] as const).flatMap((field) =>
    format[field] ? [] : [{ path: [...path, field], message: 'required of json_schema' }],
  )
}

/** Ids that are not ours are no path. */
export const ResponseParams = z.object({ id: z.string().regex(/^resp_[0-9a-z]{26}$/) })

export const RetrieveQuery = z.object({ stream: z.string().optional().describe('Only `false`.') })

export const ItemsQuery = z.object({ ...pageFields, after: z.string().min(1).max(256).optional() })
export type ItemsQuery = z.output<typeof ItemsQuery>

export const StoredResponse = z
  .looseObject({ id: z.string(), object: z.literal('response'), status: z.string(), model: z.string() })
  .describe('OpenAI’s response object, as it was answered.')

export const DeletedResponse = z.object({ id: z.string(), object: z.literal('response'), deleted: z.literal(true) })

export const ItemPage = pageOf(z.looseObject({ id: z.string(), type: z.string() }))
