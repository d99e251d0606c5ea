/** Every strategy on the same tasks of a simulated world, by the code that routes real calls. */
import type { Provider } from '../../src/core/models.ts'
import { nanoFromUsd } from '../../src/core/money.ts'
import type { Figures, JudgedTargets, Strategy } from '../../src/core/routing.ts'
import type { Candidate } from '../../src/features/routing/candidates.ts'
import type { Weighed } from '../../src/features/routing/choice.ts'
import { classCaps } from '../../src/features/routing/complexity.ts'
import { shapeOfChat } from '../../src/features/routing/shape.ts'
import type { Target } from '../../src/features/routing/target.ts'
import { weigh } from '../../src/features/routing/weigh.ts'
import { costUsdOf, createWorld, type Task, type World, type WorldModel } from './routing-world.ts'

export type Outcome = { strategy: Strategy; costUsd: number; quality: number; latencyMs: number; relaxed: number }

/** One answer in so many is judged. */
const JUDGED_ONE_IN = 10
const NOTHING_OUT: ReadonlyMap<string, number> = new Map()
const refuse = (): never => {
  throw new Error('nothing is called here')
}

/** Means over so many tasks; the first of the outcomes is the best model for everything. */
export function compareStrategies(
  { seed, tasks }: { seed: number; tasks: number },
  strategies: readonly Strategy[],
): Outcome[] {
  return strategies.map((strategy) => simulate(createWorld(seed), { strategy, tasks }))
}

function simulate(world: World, { strategy, tasks }: { strategy: Strategy; tasks: number }): Outcome {
  const candidates = world.models.map(candidateOf)
  const models = new Map(candidates.map(({ target }, at) => [target.id, world.models[at]]))
  const measured = new Map<string, Figures>()
  const marked: Record<string, JudgedTargets[string]> = {}
  const sum = { costUsd: 0, quality: 0, latencyMs: 0, relaxed: 0 }
  for (let number = 0; number < tasks; number += 1) {
    const task = world.nextTask()
    const { plan, arrangement } = weigh({
      choice: choiceOf(strategy, candidates),
      shape: shapeOfTask(task),
      standing: { openBreakers: NOTHING_OUT, nowMs: 0 },
      figuresOf: ({ id }) => measured.get(id),
      marked,
      unpaid: () => undefined,
      random: world.random(),
      turn: number,
    })
    const id = plan.targets[0]?.target.id ?? ''
    const model = models.get(id)
    if (!model) throw new Error(`nothing was chosen for a ${task.kind} task`)
    const quality = world.qualityOf(model, task)
    measured.set(id, learn(measured.get(id), { model, task }))
    const judged = world.judged(model)
    if (number % JUDGED_ONE_IN === 0) marked[id] = markedOnce(marked[id], judged)
    sum.costUsd += costUsdOf(model, task)
    sum.quality += quality
    sum.latencyMs += model.latencyMs
    sum.relaxed += Number(arrangement.relaxed.length > 0)
  }
  return {
    strategy,
    costUsd: sum.costUsd / tasks,
    quality: sum.quality / tasks,
    latencyMs: sum.latencyMs / tasks,
    relaxed: sum.relaxed / tasks,
  }
}

const choiceOf = (strategy: Strategy, candidates: readonly Candidate[]): Weighed => ({
  kind: 'weighed',
  candidates,
  strategy,
  most: 3,
  hard: undefined,
  softFor: ({ complexity }) => (strategy === 'smart' ? classCaps[complexity] : undefined),
})

function shapeOfTask({ messages, tools }: Task) {
  const body = { messages, ...(tools && { tools: [{ type: 'function', function: { name: 'look_up' } }] }) }
  return shapeOfChat({ body, wanted: { model: 'auto', kind: 'chat' }, stream: false })
}

function candidateOf({
  provider: name,
  model,
  prior,
  latencyMs,
  inputUsd,
  outputUsd,
  contextWindow,
}: WorldModel): Candidate {
  const input = nanoFromUsd(inputUsd)
  const provider: Provider = {
    name,
    kind: 'vendor',
    timeouts: { connectMs: 1, firstByteMs: 1, idleMs: 1, totalMs: 1 },
    chat: refuse,
    embed: refuse,
    listModels: refuse,
  }
  const price = {
    id: `${name}/${model}@bench`,
    base: { input, cachedInput: input, cacheWrite: input, output: nanoFromUsd(outputUsd) },
    tiers: [],
  }
  const target: Target = {
    id: `${name}/${model}`,
    provider,
    model,
    price,
    entry: {
      name: model,
      vendor: name,
      kind: 'chat',
      capabilities: ['completion', 'tools'],
      maxOutputTokens: 4096,
      imageTokenBound: 0,
      contextWindow,
      price,
      prior: { quality: prior, latencySeconds: latencyMs / 1000 },
    },
  }
  return { target, tier: 0, isSpare: false, isTrusted: false, row: {}, isBuiltIn: false }
}

type Lesson = { model: WorldModel; task: Task }

/** What a call adds to what is known of its target. */
function learn(before: Figures | undefined, { model, task }: Lesson): Figures {
  const { calls = 0, outputTokens = task.outputTokens } = before ?? {}
  return {
    calls: calls + 1,
    latencyMs: model.latencyMs,
    latencyP95Ms: model.latencyMs,
    ttftMs: model.latencyMs / 4,
    tokensPerSecond: undefined,
    errorRate: 0,
    outputTokens: outputTokens + (task.outputTokens - outputTokens) / 20,
  }
}

/** One more judged answer. */
function markedOnce(before: JudgedTargets[string] | undefined, judged: number): JudgedTargets[string] {
  const [mean, count] = before ?? [0, 0]
  return [(mean * count + judged) / (count + 1), count + 1]
}
