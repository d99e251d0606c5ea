import * as z from 'zod'
import type { Ctx } from '../../core/context.ts'
import { chunkText } from './chunker.ts'
import { MAX_READ_CHARS, requireLength } from './limits.ts'
import { modelsOf, readerFor, readWindows } from './reading.ts'
import type { ClassifyBody } from './schema-extract.ts'

const WINDOW = { size: 1000, overlap: 0, unit: 'char' } as const
const MAX_TAGS = 10
const MAX_TOKENS = 1500
/** A score that a model told in a few digits is not put under a threshold by the last bit of a sum. */
const DIGITS = 1e9

/** What a model tells of a window: a probability for each category, in their order. */
type Told = { scores: Record<string, number>; subcategory: string | null; tags: string[] }
export type Window = Told & { length: number }

/** The name of a category in an answer: names of callers are no names of fields. */
const keyOf = (at: number): string => `c${at + 1}`

function shapeFor(categories: readonly string[]): z.ZodType<Told> {
  const score = z.number().min(0).max(1)
  return z.object({
    scores: z.object(Object.fromEntries(categories.map((_, at) => [keyOf(at), score]))),
    subcategory: z.string().max(100).nullable(),
    tags: z.array(z.string().max(64)).max(MAX_TAGS),
  })
}

function instructionsFor({ categories, multi_label: isMulti }: ClassifyBody): string {
  const listed = categories.map((category, at) => `${keyOf(at)}: ${JSON.stringify(category)}`)
  return [
    'You classify texts. The categories are:',
    ...listed,
    'Tell for each category how probable it is, from 0 to 1, that the text belongs to it.',
    isMulti
      ? 'A text may belong to several categories, or to none: judge each on its own.'
      : 'A text belongs to one category at most: together the probabilities are at most 1.',
    'As `subcategory`, name in at most three words what the text is within its best category, or null. ' +
      'As `tags`, give up to five single words for what it is about.',
  ].join('\n')
}

/** How probable each category is. Throws 422 `too_long`, and as `readWindows`. */
export async function classify(ctx: Ctx, body: ClassifyBody) {
  const { content, categories, confidence_threshold: threshold, multi_label: isMulti, model_name } = body
  requireLength('content', content, MAX_READ_CHARS)
  const texts = chunkText(content, WINDOW).map(({ start, end }) => content.slice(start, end))
  const reader = await readerFor(ctx, 'text_analysis', model_name)
  const read = await readWindows(ctx, {
    reader,
    instructions: instructionsFor(body),
    windows: texts,
    shape: { name: 'classify_text', schema: shapeFor(categories) },
    maxTokens: MAX_TOKENS,
  })
  const windows = read.map(({ data }, at) => ({ ...data, length: texts[at]?.length ?? 0 }))
  const scores = scoresOf(windows, { count: categories.length, isMulti })
  const best = scores.reduce((most, score, at) => (score > (scores[most] ?? 0) ? at : most), 0)
  const isSure = (scores[best] ?? 0) >= threshold && (scores[best] ?? 0) > 0
  const named = categories.map((category, at) => [category, scores[at] ?? 0] as const)
  return {
    object: 'semantic.classification' as const,
    classification: Object.fromEntries(named),
    top_category: isSure ? (categories[best] ?? null) : null,
    labels: named.flatMap(([category, score]) => (isMulti && score > 0 && score >= threshold ? [category] : [])),
    subcategory: isSure ? subcategoryOf(windows, best) : null,
    tags: tagsOf(windows),
    confidence_source: 'model' as const,
    windows: windows.length,
    models_used: modelsOf(read),
  }
}

/** Of each category the mean over the windows, each as heavy as it is long. */
export function scoresOf(
  windows: readonly Pick<Window, 'scores' | 'length'>[],
  { count, isMulti }: { count: number; isMulti: boolean },
): number[] {
  const sums = Array.from({ length: count }, () => 0)
  let lengths = 0
  for (const { scores, length } of windows) {
    const told = sums.map((_, at) => scores[keyOf(at)] ?? 0)
    const all = told.reduce((sum, score) => sum + score, 0)
    // Of categories that exclude each other no more than everything can be probable.
    const share = isMulti ? 1 : 1 / Math.max(1, all)
    for (const [at, score] of told.entries()) sums[at] = (sums[at] ?? 0) + score * share * length
    lengths += length
  }
  return sums.map((sum) => (lengths === 0 ? 0 : Math.min(1, Math.round((sum / lengths) * DIGITS) / DIGITS)))
}

/** Of the longest stretch of text that is most probably of the best category. */
function subcategoryOf(windows: readonly Window[], best: number): string | null {
  const key = keyOf(best)
  const weights = new Map<string, number>()
  for (const { subcategory, scores, length } of windows) {
    const name = subcategory?.trim() ?? ''
    if (name !== '') weights.set(name, (weights.get(name) ?? 0) + (scores[key] ?? 0) * length)
  }
  return heaviest(weights)[0] ?? null
}

function tagsOf(windows: readonly Window[]): string[] {
  const weights = new Map<string, number>()
  for (const { tags, length } of windows) {
    const own = new Set(tags.map((tag) => tag.normalize('NFKC').trim().toLowerCase()).filter((tag) => tag !== ''))
    for (const tag of own) weights.set(tag, (weights.get(tag) ?? 0) + length)
  }
  return heaviest(weights).slice(0, MAX_TAGS)
}

const heaviest = (weights: ReadonlyMap<string, number>): string[] =>
  [...weights].sort(([, one], [, other]) => other - one).map(([name]) => name)
