import type { TaskType } from '../../core/tasks.ts'
import type { Question } from '../calls/service.ts'
import type { Chosen } from './choice.ts'
import { ANSWER_MS } from './limits.ts'
import { type Picture, release, shownAs } from './picture.ts'

export type Showing = {
  picture: Picture
  prompt: string
  chosen: Chosen
  taskType: TaskType
  maxTokens: number
  temperature: number
}

/** A picture and what is asked about it. It never leaves the team's own machines. */
export function questionOf({ picture, prompt, chosen, taskType, maxTokens, temperature }: Showing): Question {
  const content = [
    { type: 'text', text: prompt },
    { type: 'image_url', image_url: { url: shownAs(picture) } },
  ]
  return {
    model: chosen.model,
    fallbacks: chosen.fallbacks,
    messages: [{ role: 'user', content }],
    maxTokens,
    temperature,
    taskType,
    nodesOnly: true,
    timeoutMs: ANSWER_MS,
  }
}

/** The same; nobody looks at the picture after that, and its bytes are gone. */
export function lastQuestionOf(showing: Showing): Question {
  const question = questionOf(showing)
  release(showing.picture)
  return question
}
