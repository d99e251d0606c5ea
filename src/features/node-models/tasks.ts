import type { NodeCapability, NodeServer } from '../../core/node.ts'
import type { TaskType } from '../../core/tasks.ts'

export const contentTypes = ['text', 'image', 'audio', 'video', 'multimodal', 'code', 'structured'] as const
export type ContentType = (typeof contentTypes)[number]

type Task = {
  capability: NodeCapability
  content: ContentType
  /** Models that were made for such tasks say so in their name; absent where the capability alone says it. */
  specialists?: RegExp
}

const CODERS = /cod(?:e|er|estral|ing)|devstral|starcoder|granite-code/i

const tasks: Readonly<Record<TaskType, Task>> = {
  text_generation: { capability: 'completion', content: 'text' },
  text_analysis: { capability: 'completion', content: 'text' },
  text_summarization: { capability: 'completion', content: 'text' },
  question_answering: { capability: 'completion', content: 'text' },
  code_generation: { capability: 'completion', content: 'code', specialists: CODERS },
  code_analysis: { capability: 'completion', content: 'code', specialists: CODERS },
  image_analysis: { capability: 'vision', content: 'image' },
  image_captioning: { capability: 'vision', content: 'image' },
  image_classification: { capability: 'vision', content: 'image' },
  audio_transcription: { capability: 'transcription', content: 'audio' },
  audio_analysis: { capability: 'audio_classification', content: 'audio' },
  embedding_generation: { capability: 'embedding', content: 'text' },
  semantic_search: { capability: 'embedding', content: 'text' },
  multimodal_analysis: { capability: 'vision', content: 'multimodal' },
}

/** What a model must at least be able to do for a task. */
export const capabilityFor = (task: TaskType): NodeCapability => tasks[task].capability

export const contentOf = (task: TaskType): ContentType => tasks[task].content

/** Tasks that ask the same of a model as this one: what was measured of one says something of the others. */
export const isAkin = (one: TaskType, other: TaskType): boolean => tasks[one].capability === tasks[other].capability

/** Whether a model that has the capability was made for the task, and not for something beside it. */
export function isMadeFor(
  task: TaskType,
  { name, family = '', capabilities }: { name: string; family?: string | undefined; capabilities: readonly string[] },
): boolean {
  const { specialists, content } = tasks[task]
  const isCoder = CODERS.test(name) || CODERS.test(family)
  if (specialists) return isCoder
  if (content !== 'text' || capabilities.includes('embedding')) return true
  return !isCoder && !capabilities.includes('vision') && !capabilities.includes('audio_chat')
}

const HEARD_OR_SEEN: ReadonlySet<NodeCapability> = new Set([
  'transcription',
  'translation',
  'speech',
  'audio_classification',
  'diarization',
  'image_embedding',
  'rerank',
])

/** Whether a server answers calls for a capability: what chats and embeds texts is asked of Ollama, all else of the others. */
export const answers = (server: NodeServer, capability: NodeCapability): boolean =>
  HEARD_OR_SEEN.has(capability) === (server !== 'ollama')

/** What a model can take in. */
export function contentsOf(capabilities: readonly NodeCapability[]): ContentType[] {
  const can = (one: NodeCapability): boolean => capabilities.includes(one)
  const hears = can('transcription') || can('translation') || can('diarization') || can('audio_classification')
  const found: [ContentType, boolean][] = [
    ['text', can('completion') || can('embedding') || can('speech') || can('rerank')],
    ['image', can('vision') || can('image_embedding')],
    ['audio', hears || can('audio_chat')],
    ['multimodal', can('completion') && (can('vision') || can('audio_chat'))],
    ['code', can('completion')],
    ['structured', can('json')],
  ]
  return found.flatMap(([content, isSo]) => (isSo ? [content] : []))
}
