import type { ChatBody } from '../../core/models.ts'
import { classify, featuresOf, taskOf } from '../routing/service.ts'
import type { Classified, ClassifyRequest } from './schema.ts'

/** How hard a request looks, and what of it looks so. */
export function classified(request: ClassifyRequest): Classified {
  const body = request as Partial<ChatBody>
  const seen = featuresOf(body)
  return {
    object: 'routing_classification',
    ...classify(seen),
    task_type: taskOf(body.messages ?? []),
    features: {
      input_tokens: seen.inputTokens,
      messages: seen.messages,
      tools: seen.tools,
      json_schema: seen.jsonSchema,
      code: seen.code,
      images: seen.images,
      audio: seen.audio,
      reasoning_words: seen.reasoningWords,
      hard_thinking: seen.hardThinking,
    },
  }
}
