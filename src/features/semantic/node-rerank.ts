import * as z from 'zod'
import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { type AgentModel, askAgent } from '../calls/service.ts'
import { speechProvider } from '../node-models/service.ts'

/** With the time that a model takes to be loaded. */
const RERANK_MS = 60_000

export type Ranking = { query: string; documents: readonly string[] }
type Ranker = AgentModel

/** How relevant each document is, in their order, 0 to 1. */
export type Ranked = { scores: number[]; model: string }

/** The models of the nodes' agents that rank texts, the best first; the one of that name alone. Undefined where there is none. */
export async function rankersFor(
  ctx: Ctx,
  modelName: string | undefined,
): Promise<readonly [Ranker, ...Ranker[]] | undefined> {
  try {
    const { fallbacks, ...first } = await speechProvider(ctx, 'rerank', modelName)
    return [first, ...fallbacks]
  } catch (error) {
    if (error instanceof AppError && NONE.has(error.code)) return undefined
    throw error
  }
}

const NONE: ReadonlySet<string> = new Set(['no_capable_model', 'model_not_found', 'wrong_capability'])

/** Has the first of these models rank that can. Throws as `askAgent` when all of them fail. */
export async function rankOnNodes(
  ctx: Ctx,
  rankers: readonly [Ranker, ...Ranker[]],
  { query, documents }: Ranking,
): Promise<Ranked> {
  const { value: scores, target: model } = await askAgent(ctx, {
    models: rankers,
    path: '/v1/rerank',
    body: { query, documents },
    operation: 'rerank',
    taskType: 'semantic_search',
    class: 'embed',
    timeoutMs: RERANK_MS,
    read: (answer) => scoresIn(answer, documents.length),
  })
  return { scores, model }
}

const Answer = z.object({ results: z.array(z.object({ index: z.int().min(0), relevance_score: z.number() })) })

/** Every document exactly once, or it is no answer. */
function scoresIn(answer: unknown, count: number): number[] | undefined {
  const read = Answer.safeParse(answer)
  const scores = new Map(read.data?.results.map(({ index, relevance_score: score }) => [index, score]))
  const inOrder = Array.from({ length: count }, (_, at) => scores.get(at))
  const known = inOrder.filter((score) => score !== undefined)
  return known.length === count && read.data?.results.length === count ? asShares(known) : undefined
}

/** Some models answer with what comes before the logistic function. */
const asShares = (scores: readonly number[]): number[] =>
  scores.every((score) => score >= 0 && score <= 1) ? [...scores] : scores.map((score) => 1 / (1 + Math.exp(-score)))
