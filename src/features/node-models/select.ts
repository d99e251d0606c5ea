import { type Candidate, nodeWorth, type Scored, scored, type Wish } from './score.ts'
import { answers, type ContentType, contentsOf } from './tasks.ts'

export type Wanted = Wish & {
  /** Tokens that have to fit; a model that does not tell its length is taken at its word. */
  contextLength?: number | undefined
  /** Of the answer, for the prediction. */
  maxTokens?: number | undefined
  /** Further things that it must be able to do. */
  capabilities?: readonly Wish['capability'][] | undefined
  maxSizeMb?: number | undefined
  /** What it has to take in. */
  content?: ContentType | undefined
}

export type Selection = {
  chosen: Scored
  /** At most three, the best first. */
  fallbacks: readonly Scored[]
  /** Everything else that can do it, as the fallbacks are. */
  others: readonly Scored[]
  /** 0 to 1. */
  confidence: number
  reasons: readonly string[]
  prediction: { ms: number | undefined; tokensPerSecond: number | undefined }
}

const MOST_FALLBACKS = 3
const HALF_SURE_RUNS = 20
const LEAST_MARGIN = 0.1

/** The best of what can do it, by points; undefined where nothing can. Which node has it matters after which model it is. */
export function select(candidates: readonly Candidate[], wanted: Wanted, nowSeconds: number): Selection | undefined {
  const models = ranked(candidates, wanted, nowSeconds)
  const chosen = models[0]?.[0]
  if (!chosen) return undefined
  const [, elsewhere, ...further] = models[0] ?? []
  const next = models.slice(1).flatMap(([first]) => (first ? [first] : []))
  // Another node with the same model comes first, but not all of them: it may be the model that fails.
  const inOrder = [
    ...(elsewhere ? [elsewhere] : []),
    ...next,
    ...further,
    ...models.slice(1).flatMap(([, ...of]) => of),
  ]
  return {
    chosen,
    fallbacks: inOrder.slice(0, MOST_FALLBACKS),
    others: inOrder.slice(MOST_FALLBACKS),
    confidence: confidenceOf(chosen, next[0]),
    reasons: reasonsOf(chosen, wanted),
    prediction: predictionOf(chosen, wanted),
  }
}

/** The models that can do it, the best first, each with the nodes that have it, the best first. */
export function ranked(candidates: readonly Candidate[], wanted: Wanted, nowSeconds: number): Scored[][] {
  const able = candidates.filter((candidate) => canDo(candidate, wanted))
  const confirmed = able.filter(({ model }) => model.capabilitySource !== 'name')
  const pool = scored(confirmed.length > 0 ? confirmed : able, wanted, nowSeconds)
  const byModel = Map.groupBy(pool, ({ model }) => model.name)
  const models = [...byModel.values()].map((group) =>
    group.toSorted((one, other) => nodeWorth(other) - nodeWorth(one) || byScore(one, other)),
  )
  return models.toSorted(([one], [other]) => (one && other ? byScore(one, other) : 0))
}

const byScore = (one: Scored, other: Scored): number =>
  other.sum - one.sum ||
  (one.meanMs ?? Number.POSITIVE_INFINITY) - (other.meanMs ?? Number.POSITIVE_INFINITY) ||
  (one.id < other.id ? -1 : 1)

function canDo({ model }: Candidate, wanted: Wanted): boolean {
  const { capability, capabilities = [], contextLength, maxTokens, maxSizeMb, content } = wanted
  const needed = Math.max(contextLength ?? 0, maxTokens ?? 0)
  return (
    answers(model.server, capability) &&
    [capability, ...capabilities].every((one) => model.capabilities.includes(one)) &&
    (content === undefined || contentsOf(model.capabilities).includes(content)) &&
    (model.contextLength === undefined || model.contextLength >= needed) &&
    (maxSizeMb === undefined || (model.sizeMb !== undefined && model.sizeMb <= maxSizeMb))
  )
}

/** Half of how far ahead it is, half of how often it was measured. */
function confidenceOf({ score, runs }: Scored, second: Scored | undefined): number {
  const margin = Math.max(LEAST_MARGIN, (score - (second?.score ?? 0)) / 100)
  const calls = runs?.calls ?? 0
  return (margin + calls / (calls + HALF_SURE_RUNS)) / 2
}

function predictionOf({ meanMs, tokensPerSecond, runs }: Scored, { maxTokens }: Wanted): Selection['prediction'] {
  const usual = runs?.meanTokens ?? 0
  // A shorter answer than usual takes its share of the time.
  const share = maxTokens !== undefined && usual > maxTokens ? maxTokens / usual : 1
  return { ms: meanMs === undefined ? undefined : Math.round(meanMs * share), tokensPerSecond }
}

/** Why a model has its points, in plain words. */
export function reasonsOf({ model, parts, runs, meanMs }: Scored, { taskType, priority }: Wish): string[] {
  const task = taskType.replaceAll('_', ' ')
  const reasons = [
    model.capabilitySource === 'name'
      ? `by its name it should be able to do ${task}, and nothing that is known to be able is there`
      : parts.capability === 40
        ? `made for ${task}`
        : `able to do ${task}`,
  ]
  if (runs && runs.calls > 0) {
    const share = Math.round((100 * runs.ok) / runs.calls)
    const time = meanMs === undefined ? '' : `, ${Math.round(meanMs)} ms on average`
    reasons.push(`${share} % of ${runs.calls} calls went well${time}`)
  } else reasons.push('nothing has been measured of it yet')
  if (parts.recency === 10) reasons.push('it is loaded')
  else if (parts.fit === 5) reasons.push('it fits into free memory')
  else if (model.sizeMb !== undefined) reasons.push('another model may have to make room')
  if (priority === 'speed' && parts.bonus > 0) reasons.push('quick at making tokens')
  if (priority === 'quality' && parts.bonus > 0) reasons.push('large')
  return reasons
}
