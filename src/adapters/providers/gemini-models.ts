import { type ListedModel, UpstreamError } from '../../core/models.ts'
import { countOf, isObject, type JsonObject, objectsOf, stringOf } from './json-shape.ts'

/**
 * What a model's name tells of its abilities: `gemini-2.5-flash` is 2.5, and the names without a number that came
 * before there were several are 1. Undefined for names that follow the newest (`gemini-flash-latest`) and for others.
 */
export function generationOf(model: string): number | undefined {
  if (/^gemini-pro(-vision)?$/.test(model)) return 1
  const found = /^gemini-(\d+(?:\.\d+)?)/.exec(model)
  return found === null ? undefined : Number(found[1])
}

const isGemini = (model: string): boolean => model.startsWith('gemini-')

/** Gemma's second and third generation know no instructions beside the conversation. */
export const takesInstructions = (model: string): boolean => !/^gemma-[23]/.test(model)

/** Gemini 3 and later refuse calls of the current turn that have no signature, and take media inside tool results. */
export const isThirdGeneration = (model: string): boolean => isGemini(model) && (generationOf(model) ?? 3) >= 3

/** The mode in which arguments are bound to their schema exists from 2.5 on. */
export const validatesCalls = (model: string): boolean => isGemini(model) && (generationOf(model) ?? 3) >= 2.5

export type Thinking = { config: JsonObject | undefined; isExact: boolean }

/** From ai.google.dev/gemini-api/docs/openai: what Google's own translation makes of the efforts. */
const budgets: Readonly<Record<string, number>> = { none: 0, minimal: 1024, low: 1024, medium: 8192, high: 24_576 }
const levels: Readonly<Record<string, string>> = { minimal: 'minimal', low: 'low', medium: 'medium' }
/** What 2.5 Pro thinks at least, and at most (ai.google.dev/gemini-api/docs/thinking). */
const PRO_BUDGET = { least: 128, most: 32_768 }
const FLASH_MOST = 24_576

/**
 * OpenAI's `reasoning_effort` as a `thinkingConfig`: levels from the third generation on, token budgets for 2.5.
 * Not exact where a model cannot do without thinking, or cannot think at all.
 */
export function thinkingFor(model: string, effort: string): Thinking {
  const generation = generationOf(model) ?? 3
  if (!isGemini(model) || generation < 2.5) return { config: undefined, isExact: effort === 'none' }
  const isPro = /-pro\b/.test(model)
  const includeThoughts = effort !== 'none'
  if (generation >= 3) {
    const thinkingLevel = levelFor(model, effort === 'none' ? 'minimal' : effort, isPro)
    return { config: { thinkingLevel, includeThoughts }, isExact: effort !== 'none' }
  }
  const budget = budgets[effort] ?? (isPro ? PRO_BUDGET.most : FLASH_MOST)
  const thinkingBudget = isPro ? Math.max(budget, PRO_BUDGET.least) : budget
  return { config: { thinkingBudget, includeThoughts }, isExact: thinkingBudget === budget }
}

/** No Pro model knows `minimal`, and the first of the third generation knows nothing between `low` and `high`. */
function levelFor(model: string, effort: string, isPro: boolean): string {
  const level = levels[effort] ?? 'high'
  if (isPro && level === 'minimal') return 'low'
  return level === 'medium' && /^gemini-3-pro/.test(model) ? 'high' : level
}

/** One page of `GET /models`. Throws `UpstreamError('garbage')` when it is none. */
export function listedPage(parsed: unknown): { models: ListedModel[]; next: string | undefined } {
  if (!isObject(parsed) || (parsed.models !== undefined && !Array.isArray(parsed.models))) {
    throw new UpstreamError('garbage', 'The answer has no list of models.')
  }
  const models = objectsOf(parsed.models).flatMap((entry) => {
    const name = stringOf(entry.name)?.replace(/^models\//, '')
    if (!name) return []
    return [{ name, capabilities: capabilitiesOf(entry), contextWindow: countOf(entry.inputTokenLimit) }]
  })
  return { models, next: stringOf(parsed.nextPageToken) || undefined }
}

function capabilitiesOf(entry: JsonObject): string[] | undefined {
  if (!Array.isArray(entry.supportedGenerationMethods)) return undefined
  const methods: readonly unknown[] = entry.supportedGenerationMethods
  const capabilities: string[] = []
  if (methods.includes('generateContent')) capabilities.push('completion')
  if (methods.includes('embedContent') || methods.includes('batchEmbedContents')) capabilities.push('embedding')
  if (entry.thinking === true) capabilities.push('reasoning')
  return capabilities
}

/** The vectors of one `:batchEmbedContents` answer. Throws `UpstreamError('garbage')` unless there is one an input. */
export function batchVectors(parsed: JsonObject, inputs: number): number[][] {
  const vectors = objectsOf(parsed.embeddings).flatMap(({ values }) => (isVector(values) ? [values] : []))
  if (vectors.length !== inputs) {
    throw new UpstreamError('garbage', `The answer does not have one vector for each of ${inputs} inputs.`)
  }
  return vectors
}

const isVector = (value: unknown): value is number[] =>
  Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === 'number')
