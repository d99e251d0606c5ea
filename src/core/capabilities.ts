import type { CapabilitySource, NodeCapability, NodeServer } from './node.ts'

/** What is known of a model by which it can be told what it can do. Absent means that nobody said. */
export type CapabilityEvidence = {
  /** As its server lists it, with its tag. */
  name: string
  server: NodeServer
  /** Ollama's own words for it, of `/api/show`. */
  shown?: readonly string[] | undefined
  /** `model_info` of `/api/show`: keys like `llama.context_length`. */
  modelInfo?: Readonly<Record<string, unknown>> | undefined
  /** Ollama's own words for it, of `/api/tags`. */
  listed?: readonly string[] | undefined
  /** A Hugging Face pipeline tag, of a speech server's or an agent's list. */
  task?: string | undefined
  /** What it did when it was tried; empty for one that did nothing that was tried. */
  probed?: readonly NodeCapability[] | undefined
}

export type Capable = { capabilities: readonly NodeCapability[]; source: CapabilitySource }

/** Ollama makes whatever it has write by a schema. */
const WRITES: readonly NodeCapability[] = ['completion', 'json']

const words = mapOf({
  completion: WRITES,
  tools: ['tools'],
  thinking: ['thinking'],
  vision: ['vision'],
  embedding: ['embedding'],
  audio: ['audio_chat'],
})

const tasks = mapOf({
  'automatic-speech-recognition': ['transcription'],
  'text-to-speech': ['speech'],
  'text-to-audio': ['speech'],
  'audio-classification': ['audio_classification'],
  'speaker-diarization': ['diarization'],
  'zero-shot-image-classification': ['image_embedding'],
  'image-feature-extraction': ['image_embedding'],
  'feature-extraction': ['embedding'],
  'sentence-similarity': ['embedding'],
  'text-ranking': ['rerank'],
  'text-generation': WRITES,
  'image-text-to-text': [...WRITES, 'vision'],
  'audio-text-to-text': [...WRITES, 'audio_chat'],
})

function mapOf(table: Readonly<Record<string, readonly NodeCapability[]>>) {
  return new Map(Object.entries(table))
}

/** Short ones must be a whole word of the name: `vit` is in `gravity`, too. */
const VISION = ['llava', 'bakllava', 'moondream', 'vision', 'clip', 'blip', 'vit']
const AUDIO = ['whisper', 'wav2vec', 'hubert', 'audio', 'speech', 'voice', 'transcribe']
const EMBEDDING = ['embed', 'embedding', 'sentence-transformer', 'all-minilm', 'text2vec', 'bge']
const SPEAKING = ['tts', 'kokoro', 'piper', 'bark', 'speecht5', 'xtts', 'vits']
const SHORT = 4

/** Architectures that only embed. */
const ENCODERS = new Set(['bert', 'nomic-bert', 'nomic-bert-moe', 'jina-bert-v2', 'gemma-embedding', 'xlm-roberta'])

/**
 * What a model can do, by the best that is known of it: what Ollama shows, then what its server lists, then what it did
 * when it was tried, and its name last, which is a guess.
 */
export function capabilitiesOf(evidence: CapabilityEvidence): Capable {
  const { shown, modelInfo, listed, task, probed } = evidence
  const known = (of: readonly NodeCapability[], source: CapabilitySource): Capable | undefined =>
    of.length === 0 ? undefined : { capabilities: [...new Set(withTranslation(of, evidence))], source }
  return (
    known(saidOf(shown), 'show') ??
    known(inferredOf(modelInfo), 'show') ??
    known(saidOf(listed), 'list') ??
    known(tasks.get(task ?? '') ?? [], 'list') ??
    (probed && { capabilities: [...new Set(probed)], source: 'probe' }) ?? {
      capabilities: [...new Set(withTranslation(guessed(evidence), evidence))],
      source: 'name',
    }
  )
}

/** Whether trying it could tell more than is known of it. */
export const isUnclear = (evidence: CapabilityEvidence): boolean => capabilitiesOf(evidence).source === 'name'

const saidOf = (said: readonly string[] = []): NodeCapability[] => said.flatMap((word) => words.get(word) ?? [])

/** Older servers say nothing, but the figures of a model tell what it is built of. */
function inferredOf(info: CapabilityEvidence['modelInfo']): NodeCapability[] {
  if (!info) return []
  const keys = Object.keys(info)
  const architecture = String(info['general.architecture'] ?? '')
  if (ENCODERS.has(architecture) || keys.some((key) => key.endsWith('.pooling_type'))) return ['embedding']
  const sees = keys.some((key) => key.includes('.vision.') || key === 'clip.has_vision_encoder')
  return sees ? [...WRITES, 'vision'] : []
}

function guessed({ name, server }: CapabilityEvidence): readonly NodeCapability[] {
  const named = (patterns: readonly string[]): boolean => patterns.some((pattern) => isIn(name, pattern))
  if (server === 'speech') return named(SPEAKING) ? ['speech'] : named(AUDIO) ? ['transcription'] : []
  if (server === 'agent') {
    if (/rerank/i.test(name)) return ['rerank']
    if (/diari[sz]/i.test(name)) return ['diarization']
    if (named(VISION)) return ['image_embedding']
    return named(AUDIO) ? ['audio_classification'] : []
  }
  if (named(EMBEDDING)) return ['embedding']
  if (named(VISION)) return [...WRITES, 'vision']
  return named(AUDIO) ? [...WRITES, 'audio_chat'] : WRITES
}

/** Whisper translates into English, but for its English-only and distilled ones. */
function withTranslation(of: readonly NodeCapability[], { name }: CapabilityEvidence): readonly NodeCapability[] {
  const isAble = of.includes('transcription') && isIn(name, 'whisper') && !/\.en\b|distil|turbo/i.test(name)
  return isAble ? [...of, 'translation'] : of
}

/** Whether a word of the name begins with the pattern; a short pattern has to be the word, but for figures after it. */
function isIn(name: string, pattern: string): boolean {
  const text = name.toLowerCase()
  for (let at = text.indexOf(pattern); at !== -1; at = text.indexOf(pattern, at + 1)) {
    const isStart = at === 0 || !isLetter(text[at - 1])
    const isWhole = pattern.length > SHORT || !isLetter(text[at + pattern.length])
    if (isStart && isWhole) return true
  }
  return false
}

const isLetter = (character: string | undefined): boolean => character !== undefined && /[a-z]/.test(character)
