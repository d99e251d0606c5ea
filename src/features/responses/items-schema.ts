import * as z from 'zod'

/** Items that can be given in, with the fields that one of the kind cannot do without. */
const NEEDED: Readonly<Record<string, readonly string[]>> = {
  message: ['role', 'content'],
  function_call: ['call_id', 'name', 'arguments'],
  function_call_output: ['call_id', 'output'],
  custom_tool_call: ['call_id', 'name', 'input'],
  custom_tool_call_output: ['call_id', 'output'],
  reasoning: [],
  item_reference: ['id'],
}

/** The same of content parts; a list within stands for one of its fields. */
const NEEDED_OF_PART: Readonly<Record<string, readonly (string | readonly string[])[]>> = {
  input_text: ['text'],
  output_text: ['text'],
  text: ['text'],
  reasoning_text: ['text'],
  refusal: ['refusal'],
  input_image: [['image_url', 'file_id']],
  input_file: [['file_data', 'file_url', 'file_id']],
  input_audio: ['input_audio'],
}

const isGiven = (value: unknown): boolean => value !== undefined && value !== null

/** What is missing of a thing of this type, or that there is no such type. */
function faultsOf(
  thing: Readonly<Record<string, unknown>>,
  type: string | undefined,
  needed: Readonly<Record<string, readonly (string | readonly string[])[]>>,
): { path: string[]; message: string }[] {
  if (type === undefined) return [{ path: ['type'], message: 'required' }]
  if (!Object.hasOwn(needed, type)) return [{ path: ['type'], message: `'${type}' is not supported here` }]
  return (needed[type] ?? []).flatMap((field) => {
    const fields = typeof field === 'string' ? [field] : [...field]
    if (fields.some((name) => isGiven(thing[name]))) return []
    return [{ path: fields.slice(0, 1), message: `${fields.join(' or ')} is required of ${type}` }]
  })
}

const text = z.string().nullish()

const Part = z
  .looseObject({
    type: z.string().min(1),
    text,
    refusal: text,
    image_url: text,
    detail: text,
    file_id: text,
    file_data: text,
    file_url: text,
    filename: text,
    input_audio: z.looseObject({ data: z.string(), format: z.string() }).nullish(),
  })
  .superRefine((part, { addIssue }) => {
    for (const fault of faultsOf(part, part.type, NEEDED_OF_PART)) addIssue({ code: 'custom', ...fault })
  })

export type Part = z.infer<typeof Part>

const content = z.union([z.string(), z.array(Part)]).nullish()

/** What a thought was, in the words of the wire that had it: kept with an item, and never shown. */
const Thought = z.looseObject({ type: z.string() })

const Item = z
  .looseObject({
    type: text,
    id: text,
    role: z.enum(['user', 'assistant', 'system', 'developer']).nullish(),
    content,
    status: text,
    call_id: text,
    name: text,
    arguments: text,
    input: text,
    output: content,
    /** Ours: the tool has failed. */
    is_error: z.boolean().nullish(),
    summary: z.array(z.looseObject({ type: z.string(), text })).nullish(),
    encrypted_content: text,
    extra_content: z.looseObject({}).nullish(),
    thinking_blocks: z.array(Thought).nullish(),
  })
  .superRefine((item, { addIssue }) => {
    for (const fault of faultsOf(item, kindOf(item), NEEDED)) addIssue({ code: 'custom', ...fault })
  })

/**
 * An item of a conversation, as callers give it and as it is stored.
 * https://platform.openai.com/docs/api-reference/responses/create#responses-create-input
 */
export type Item = z.infer<typeof Item>

/** The type of an item, which a message and a reference need not say. */
export function kindOf({ type, role, id }: Pick<Item, 'type' | 'role' | 'id'>): string | undefined {
  if (typeof type === 'string') return type
  if (typeof role === 'string') return 'message'
  return typeof id === 'string' ? 'item_reference' : undefined
}

/** No conversation has more items than that, its stored part included. */
export const MAX_ITEMS = 2000

export const Input = z.union([z.string(), z.array(Item).max(MAX_ITEMS)])
