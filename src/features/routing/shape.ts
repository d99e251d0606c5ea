import type { ChatBody } from '../../core/models.ts'
import type { Complexity } from '../../core/routing.ts'
import type { TaskType } from '../../core/tasks.ts'
import { classify } from './complexity.ts'
import { type Features, featuresOf, taskOf } from './features.ts'
import type { Need, Wanted } from './target.ts'

/** What a request is like, as far as the choice of a target goes. */
export type Shape = {
  stream: boolean
  /** Estimated. */
  inputTokens: number
  /** The caller's limit for one answer. */
  maxOutputTokens: number | undefined
  /** Answers to one request. */
  choices: number
  complexity: Complexity
  taskType: TaskType
  needs: readonly Need[]
}

type Chat = {
  body: Partial<ChatBody>
  wanted: Wanted
  stream: boolean
  /** How hard to think, where the request's wire has another word for it. */
  effort?: string | undefined
}

/** Of a chat request. Reads all of it: not to be asked for where nothing is chosen. */
export function shapeOfChat({ body, wanted, stream, effort }: Chat): Shape {
  const features = featuresOf(body, effort)
  return {
    stream,
    inputTokens: features.inputTokens,
    maxOutputTokens: body.max_completion_tokens ?? body.max_tokens ?? undefined,
    choices: body.n ?? 1,
    complexity: wanted.routing?.complexity ?? classify(features).complexity,
    taskType: wanted.taskType ?? taskOf(body.messages ?? []),
    needs: needsOf(features),
  }
}

export function needsOf({ images, tools, jsonSchema }: Pick<Features, 'images' | 'tools' | 'jsonSchema'>): Need[] {
  return [
    ...(images ? (['vision'] as const) : []),
    ...(tools ? (['tools'] as const) : []),
    ...(jsonSchema ? (['json_schema'] as const) : []),
  ]
}

/** Of texts to be embedded. */
export const shapeOfTexts = (inputTokens: number): Shape => ({
  stream: false,
  inputTokens,
  maxOutputTokens: 0,
  choices: 1,
  complexity: 'simple',
  taskType: 'embedding_generation',
  needs: [],
})
