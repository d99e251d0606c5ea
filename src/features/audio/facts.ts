import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { ask } from '../calls/service.ts'
import { selectModel } from '../node-models/service.ts'

/** What was measured or heard, each as a sentence that is true by itself. */
export type Facts = readonly string[]
/** `facts`: the sentences themselves, where no model wrote anything that could be believed. */
export type Summary = { text: string; source: 'model' | 'facts' }

type Wanted = {
  /** What the text is about: `the speakers of a recording`. */
  about: string
  maxTokens: number
}

const TIMEOUT_MS = 60_000

/**
 * A few sentences about what was measured, by a text model of the team's own nodes: nothing of it leaves them. A text with
 * a number that is not in the facts is not used; then, and where there is no model, the facts speak for themselves.
 */
export async function summaryOf(ctx: Ctx, facts: Facts, { about, maxTokens }: Wanted): Promise<Summary> {
  const plain: Summary = { text: facts.join(' '), source: 'facts' }
  try {
    const wish = { taskType: 'text_summarization', capability: 'completion' } as const
    const { model, fallbacks } = await selectModel(ctx, wish)
    const content = [
      `These facts were measured of ${about}:`,
      ...facts.map((fact) => `- ${fact}`),
      'Write a short summary of them for a reader who does not know them.',
      'Say nothing that they do not say, and no number that is not among them. Answer with the summary alone.',
    ].join('\n')
    const { text } = await ask(ctx, {
      model,
      fallbacks,
      messages: [{ role: 'user', content }],
      maxTokens,
      temperature: 0.1,
      taskType: 'text_summarization',
      nodesOnly: true,
      timeoutMs: TIMEOUT_MS,
    })
    const said = text.trim()
    return said !== '' && hasNoOtherNumbers(said, facts) ? { text: said, source: 'model' } : plain
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    ctx.log.info('summary_not_written', { request_id: ctx.requestId, code: error.code })
    return plain
  }
}

const NUMBER = /\d+(?:[.,]\d+)*/g
const numbersIn = (text: string): string[] =>
  [...text.matchAll(NUMBER)].map(([found]) => found.replaceAll(',', '.').replace(/^0+(?=\d)/, ''))

const WORDS: readonly (readonly [RegExp, string])[] = [
  'one',
  'two',
  'three',
  'four',
  'five',
  'six',
  'seven',
  'eight',
  'nine',
  'ten',
  'eleven',
  'twelve',
].map((word, at) => [new RegExp(`\\b${word}\\b`, 'i'), String(at + 1)])
/** `One` is more often a pronoun than a number. */
const COUNTED = WORDS.slice(1)

/** Whether every number of a text is one of the facts', in figures or, up to twelve, in words. */
export function hasNoOtherNumbers(text: string, facts: Facts): boolean {
  const known = new Set(facts.flatMap(numbersIn))
  const inWords = COUNTED.flatMap(([word, figure]) => (word.test(text) ? [figure] : []))
  return [...numbersIn(text), ...inWords].every((number) => known.has(number))
}
