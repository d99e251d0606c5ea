import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import type { NodeCapability, NodeServer } from '../../core/node.ts'
import type { TaskType } from '../../core/tasks.ts'
import { readRuns } from './choose.ts'
import { offersOf } from './fleet.ts'
import { ranked, reasonsOf } from './select.ts'
import { capabilityFor } from './tasks.ts'
import { shownNodes } from './views.ts'

type Worth = { capability: NodeCapability; model: string; server: NodeServer; reason: string }

/** What a node with one card of 24 GB may be given first for each capability. */
const WORTH: readonly Worth[] = [
  { capability: 'completion', model: 'llama3.1:8b', server: 'ollama', reason: 'writes, and calls tools, in 5 GB' },
  { capability: 'tools', model: 'llama3.1:8b', server: 'ollama', reason: 'calls tools, in 5 GB' },
  { capability: 'json', model: 'llama3.1:8b', server: 'ollama', reason: 'writes by a schema, in 5 GB' },
  { capability: 'thinking', model: 'qwen3:8b', server: 'ollama', reason: 'thinks before it answers, in 5 GB' },
  {
    capability: 'vision',
    model: 'qwen2.5vl:7b',
    server: 'ollama',
    reason: 'reads pictures and says where things are, in 6 GB',
  },
  { capability: 'embedding', model: 'nomic-embed-text', server: 'ollama', reason: 'texts as 768 numbers, in 0.3 GB' },
  {
    capability: 'image_embedding',
    model: 'openai/clip-vit-base-patch32',
    server: 'agent',
    reason: 'pictures and texts in one space, in 0.6 GB',
  },
  {
    capability: 'transcription',
    model: 'Systran/faster-whisper-large-v3',
    server: 'speech',
    reason: 'writes down speech of about a hundred languages, in 5 GB',
  },
  {
    capability: 'translation',
    model: 'Systran/faster-whisper-large-v3',
    server: 'speech',
    reason: 'writes down speech in English, in 5 GB',
  },
  { capability: 'speech', model: 'speaches-ai/Kokoro-82M-v1.0-ONNX', server: 'speech', reason: 'speaks, in 0.4 GB' },
  {
    capability: 'diarization',
    model: 'pyannote/speaker-diarization-3.1',
    server: 'agent',
    reason: 'tells who speaks when, in 2 GB',
  },
  {
    capability: 'audio_classification',
    model: 'MIT/ast-finetuned-audioset-10-10-0.4593',
    server: 'agent',
    reason: 'names sounds, in 0.4 GB',
  },
  { capability: 'audio_chat', model: 'gemma3n:e4b', server: 'ollama', reason: 'answers about what it hears, in 8 GB' },
  {
    capability: 'rerank',
    model: 'BAAI/bge-reranker-v2-m3',
    server: 'agent',
    reason: 'orders texts by a question, in 2 GB',
  },
]

const MOST_MODELS = 20

/** The models for a task, the best first, each with why; and what no model of the nodes can do, with one that could. */
export async function recommend(ctx: Ctx, taskType: TaskType) {
  const nodes = await shownNodes(ctx)
  const offers = offersOf(ctx, nodes).filter(({ isAvailable }) => isAvailable)
  const runs = await readRuns(ctx, nodes, taskType)
  const capability = capabilityFor(taskType)
  const wish = { taskType, capability, priority: 'balanced' } as const
  const candidates = offers.map(({ id, model, state, link }) => ({
    id,
    model,
    state,
    atOnce: link.limits.gpu_tasks,
    runs: runs.get(id),
  }))
  const models = ranked(candidates, wish, nowSeconds(ctx)).flat()
  const missing = WORTH.filter(
    (one) =>
      !offers.some(({ model }) => model.capabilitySource !== 'name' && model.capabilities.includes(one.capability)),
  )
  return {
    task_type: taskType,
    capability,
    models: models
      .toSorted((one, other) => other.sum - one.sum)
      .slice(0, MOST_MODELS)
      .map((one) => ({ model: one.id, score: one.score, reasons: reasonsOf(one, wish) })),
    worth_installing: missing.toSorted(
      (one, other) => Number(other.capability === capability) - Number(one.capability === capability),
    ),
  }
}
