/**
 * A world in which everything is known that in the real one is not: how hard each task is, and how good, how dear and how
 * quick each model would be at it. Everything in it follows from a seed.
 */
import type { ChatMessage } from '../../src/core/models.ts'
import type { Complexity } from '../../src/core/routing.ts'

/** Prices are USD per million tokens, as their vendors list them. */
export type WorldModel = {
  provider: string
  model: string
  /** What is expected of it, 0 to 10, and what it can really do. */
  prior: number
  ability: number
  latencyMs: number
  inputUsd: number
  outputUsd: number
  contextWindow: number
}

export type Task = {
  /** What the router sees. */
  messages: ChatMessage[]
  tools: boolean
  /** What it does not: which kind of task it is, how hard, and how long its answer will be. */
  kind: Complexity
  difficulty: number
  inputTokens: number
  outputTokens: number
}

const expected: readonly (readonly [provider: string, model: string, ...figures: number[]])[] = [
  ['openai', 'gpt-3.5-turbo', 7, 1200, 0.5, 1.5, 16_385],
  ['openai', 'gpt-4o', 9, 1800, 2.5, 10, 128_000],
  ['openai', 'gpt-4-turbo', 9.5, 2500, 10, 30, 128_000],
  ['anthropic', 'claude-3-sonnet', 8.5, 2000, 3, 15, 200_000],
  ['anthropic', 'claude-3-opus', 9.8, 3500, 15, 75, 200_000],
  ['gemini', 'gemini-pro', 8, 1500, 0.125, 0.375, 32_760],
  ['gemini', 'gemini-2.5-pro', 9.3, 2000, 1.25, 10, 1_000_000],
  ['mistral', 'mistral-large', 8.5, 2000, 2, 6, 32_000],
  ['deepseek', 'deepseek-chat', 8.3, 2000, 0.27, 1.1, 64_000],
  ['qwen', 'qwen-turbo', 7.2, 1000, 0.05, 0.2, 131_072],
  ['qwen', 'qwen-max', 8.6, 2400, 1.6, 6.4, 32_768],
  ['groq', 'llama-3.1-8b', 7.8, 1500, 0.05, 0.08, 128_000],
  ['xai', 'grok-4', 9.3, 3000, 3, 15, 256_000],
]

/** How far what a model can do is from what is expected of it. */
const ABILITY_DEVIATION = 0.1
/** By how much a better model is better at what is just hard enough for it. */
const STEEPNESS = 1.5
const JUDGE_DEVIATION = 0.8

const difficulties: Readonly<Record<Complexity, number>> = { simple: 2, medium: 4.5, complex: 7 }
/** Of a hundred tasks. */
const shares: Readonly<Record<Complexity, number>> = { simple: 60, medium: 28, complex: 12 }

export type World = {
  models: readonly WorldModel[]
  /** 0 ≤ n < 1. */
  random: () => number
  nextTask: () => Task
  /** How good its answer would be, 0 to 10. */
  qualityOf: (model: WorldModel, task: Task) => number
  /** The mark that a judge gives: of the model beside others, so that an easy task makes none of them better. */
  judged: (model: WorldModel) => number
}

export function createWorld(seed: number): World {
  const random = seeded(seed)
  const deviate = (deviation: number): number => normal(random) * deviation
  const models = expected.map(
    ([provider, model, prior = 0, latencyMs = 0, inputUsd = 0, outputUsd = 0, contextWindow = 0]): WorldModel => ({
      provider,
      model,
      prior,
      ability: prior + deviate(ABILITY_DEVIATION),
      latencyMs,
      inputUsd,
      outputUsd,
      contextWindow,
    }),
  )
  return {
    models,
    random,
    nextTask: () => taskOf(kindOf(random() * 100), { random, deviate }),
    qualityOf: ({ ability }, { difficulty }) => 10 / (1 + Math.exp(-STEEPNESS * (ability - difficulty))),
    judged: ({ ability }) => Math.min(10, Math.max(0, ability + deviate(JUDGE_DEVIATION))),
  }
}

export const costUsdOf = ({ inputUsd, outputUsd }: WorldModel, { inputTokens, outputTokens }: Task): number =>
  (inputTokens * inputUsd + outputTokens * outputUsd) / 1_000_000

function kindOf(point: number): Complexity {
  if (point < shares.simple) return 'simple'
  return point < shares.simple + shares.medium ? 'medium' : 'complex'
}

type Luck = { random: () => number; deviate: (deviation: number) => number }

const questions: Readonly<Record<Complexity, readonly string[]>> = {
  simple: ['What is the capital of Peru?', 'Translate this word.', 'Say hello to the new colleague.'],
  medium: ['Compare these two offers.', 'Write the function that this describes:\n```\n', 'Plan my week around this.'],
  complex: ['Prove this and derive the bound, step by step.', 'Design and refactor this module:\n```\n'],
}

/** What a task looks like goes with how hard it is, but not always: one in twenty is drawn anew. */
function taskOf(kind: Complexity, { random, deviate }: Luck): Task {
  const looks = random() < 0.05 ? kindOf(random() * 100) : kind
  const fillers = { simple: 150, medium: 900, complex: 2600 }[looks]
  const some = questions[looks]
  const question = some[Math.floor(random() * some.length)] ?? ''
  const words = Math.round(fillers * (0.5 + random()))
  return {
    messages: [{ role: 'user', content: `${question} ${'text '.repeat(words)}` }],
    tools: looks !== 'simple' && random() < 0.5,
    kind,
    difficulty: difficulties[kind] + deviate(0.8),
    inputTokens: Math.ceil(words * 1.25) + 10,
    outputTokens: Math.round({ simple: 120, medium: 450, complex: 1100 }[kind] * (0.5 + random())),
  }
}

/** Two uniform numbers make a normal one (Box and Muller). */
const normal = (random: () => number): number =>
  Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())

/** xorshift32: https://www.jstatsoft.org/article/view/v008i14 */
function seeded(seed: number): () => number {
  let state = seed | 0 || 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32
  }
}
