import type * as z from 'zod'
import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import type { ChatMessage, Usage } from '../../core/models.ts'
import { jsonIn } from './json-text.ts'
import { askFor, type Question, type Reply } from './question.ts'
import { responseFormat } from './wire-schema.ts'

/** What an answer must be. */
export type Shape<T> = {
  /** Names the operation, for vendors and in errors: letters, digits, `_` and `-`. */
  name: string
  /** Of an object whose fields are always there (nullable rather than optional), for vendors that enforce it. */
  schema: z.ZodType<T>
  /** What is wrong with data of the right form, in words for the model; empty where nothing is. */
  check?: (data: T) => readonly string[]
}

/** What the model is shown of its first answer, and of what is wrong with it. */
const SHOWN_CHARS = 8000
const MOST_PROBLEMS = 12
const PROBLEM_CHARS = 300

/**
 * Asks for data of a shape. An answer that is not of it, or that was cut off, is shown to the model once more with what
 * is wrong with it; `reply` is then the second one, its usage, cost and time those of both. Throws as `ask`, and 502
 * `model_output_invalid` where the second answer is no better: its details name the operation and the target, and
 * nothing of what was said.
 */
export async function askForData<T>(
  ctx: Ctx,
  question: Question,
  shape: Shape<T>,
): Promise<{ data: T; reply: Reply; repaired: boolean }> {
  const fields = { response_format: responseFormat(shape.name, shape.schema) }
  const first = await askFor(ctx, question, fields)
  const read = readData(first, shape)
  if ('data' in read) return { data: read.data, reply: first, repaired: false }
  ctx.log.info('model_output_repaired', { request_id: ctx.requestId, operation: shape.name, target: first.target.id })
  const again = await askFor(ctx, repairOf(question, first, read.problems), fields)
  const reply = together(first, again)
  const second = readData(again, shape)
  if ('data' in second) return { data: second.data, reply, repaired: true }
  throw new AppError('model_output_invalid', 'The model answered with something that is not of the form asked for.', {
    details: { operation: shape.name, target: again.target.id },
  })
}

type Read<T> = { data: T } | { problems: readonly string[] }

function readData<T>({ text, completion }: Reply, { schema, check }: Shape<T>): Read<T> {
  if (completion.choices[0]?.finish_reason === 'length') {
    return { problems: ['The answer was cut off before its end: it has to be shorter.'] }
  }
  const found = jsonIn(text)
  if (!found) return { problems: ['The answer is not one JSON object.'] }
  const read = schema.safeParse(found.value)
  if (!read.success) return { problems: read.error.issues.map(({ path, message }) => `${pointerOf(path)}: ${message}`) }
  const problems = check?.(read.data) ?? []
  return problems.length > 0 ? { problems } : { data: read.data }
}

const pointerOf = (path: readonly PropertyKey[]): string => `/${path.map(String).join('/')}`

/** The same question with the answer to it, and what is wrong with that. */
function repairOf(question: Question, { text }: Reply, problems: readonly string[]): Question {
  const told = problems.slice(0, MOST_PROBLEMS).map((problem) => `- ${problem.slice(0, PROBLEM_CHARS)}`)
  const answered: ChatMessage[] =
    text.trim() === '' ? [] : [{ role: 'assistant', content: text.slice(0, SHOWN_CHARS).toWellFormed() }]
  const content = [
    'Your answer cannot be used:',
    ...told,
    'Answer the question again, with nothing but one JSON object in the form that was asked for.',
  ].join('\n')
  return { ...question, messages: [...question.messages, ...answered, { role: 'user', content }] }
}

const together = (first: Reply, again: Reply): Reply => ({
  ...again,
  usage: first.usage && again.usage && sumOf(first.usage, again.usage),
  costNanoUsd: first.costNanoUsd + again.costNanoUsd,
  ms: first.ms + again.ms,
})

const sumOf = (one: Usage, other: Usage): Usage => ({
  prompt: one.prompt + other.prompt,
  cached: one.cached + other.cached,
  cacheWrite: one.cacheWrite + other.cacheWrite,
  cacheWriteHour: (one.cacheWriteHour ?? 0) + (other.cacheWriteHour ?? 0),
  completion: one.completion + other.completion,
  reasoning: one.reasoning + other.reasoning,
})
