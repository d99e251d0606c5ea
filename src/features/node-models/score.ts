import type { NodeCapability, NodeModel, NodeRuns, NodeState } from '../../core/node.ts'
import type { TaskType } from '../../core/tasks.ts'
import { isMadeFor } from './tasks.ts'

/** A model on a node, and how calls of it went. */
export type Candidate = {
  /** `node/model`. */
  id: string
  model: NodeModel
  state: NodeState
  /** Calls that the node takes at once. */
  atOnce: number
  runs: NodeRuns | undefined
}

export type SelectionPriority = 'speed' | 'quality' | 'balanced'

export type Parts = {
  capability: number
  performance: number
  size: number
  recency: number
  fit: number
  bonus: number
}

export type Scored = Candidate & {
  /** 0 to 100. */
  score: number
  /** The same without the cap, which would make equals of the best. */
  sum: number
  parts: Parts
  /** As far as known: measured of this model, else of its like. */
  meanMs: number | undefined
  tokensPerSecond: number | undefined
}

export type Wish = { taskType: TaskType; capability: NodeCapability; priority: SelectionPriority }

const SLOW_MS = 5000
const MANY_TOKENS_PER_SECOND = 50
/** Fewer runs than that and the figures lean on those of the others. */
const ENOUGH_RUNS = 10
const MOST_BONUS = 20
const MB_PER_GB = 1000
const HOUR_SECONDS = 3600

/** What the others are measured by that nobody has measured. */
type Class = { points: number | undefined; meanMs: number | undefined; tokensPerSecond: number | undefined }

/** Points of each, none excluded. `nowSeconds` is Unix seconds. */
export function scored(candidates: readonly Candidate[], wish: Wish, nowSeconds: number): Scored[] {
  const others = classOf(candidates)
  return candidates.map((candidate) => {
    const { meanMs, tokensPerSecond } = figuresOf(candidate, others)
    const parts: Parts = {
      capability: fitness(candidate, wish),
      performance: performanceOf(candidate, others),
      size: sizePoints(candidate, wish.priority),
      recency: recencyOf(candidate, nowSeconds),
      fit: fitOf(candidate),
      bonus: bonusOf(candidate, wish.priority, tokensPerSecond),
    }
    const sum = Object.values(parts).reduce((total, one) => total + one, 0)
    return { ...candidate, score: Math.min(100, sum), sum, parts, meanMs, tokensPerSecond }
  })
}

/** 0 to 30 for how calls of a model went; undefined where none was made. */
export function measured(runs: NodeRuns | undefined): number | undefined {
  if (!runs || runs.calls === 0) return undefined
  const { calls, ok, meanMs, tokensPerSecond = 0 } = runs
  const quickness = meanMs === undefined ? 0 : Math.max(0, 1 - meanMs / SLOW_MS)
  return (
    10 * quickness +
    10 * (ok / calls) +
    (10 * Math.min(tokensPerSecond, MANY_TOKENS_PER_SECOND)) / MANY_TOKENS_PER_SECOND
  )
}

export const isLoaded = ({ state, model }: Pick<Candidate, 'state' | 'model'>): boolean =>
  model.server === 'ollama' && state.loaded.some(({ name }) => name === model.name)

function classOf(candidates: readonly Candidate[]): Class {
  const known = candidates.flatMap(({ runs }) => (runs && runs.calls > 0 ? [runs] : []))
  return {
    points: mean(known, measured),
    meanMs: mean(known, ({ meanMs }) => meanMs),
    tokensPerSecond: mean(known, ({ tokensPerSecond }) => tokensPerSecond),
  }
}

/** By how many calls are behind each. */
function mean(runs: readonly NodeRuns[], figure: (one: NodeRuns) => number | undefined): number | undefined {
  let sum = 0
  let calls = 0
  for (const one of runs) {
    const value = figure(one)
    if (value === undefined) continue
    sum += value * one.calls
    calls += one.calls
  }
  return calls === 0 ? undefined : sum / calls
}

/** A figure of few calls leans on the others'. */
function shrunk(own: number | undefined, others: number | undefined, calls: number): number | undefined {
  if (own === undefined || others === undefined || calls >= ENOUGH_RUNS) return own ?? others
  return (own * calls + others * ENOUGH_RUNS) / (calls + ENOUGH_RUNS)
}

function figuresOf({ runs }: Candidate, others: Class): Pick<Scored, 'meanMs' | 'tokensPerSecond'> {
  const calls = runs?.calls ?? 0
  return {
    meanMs: shrunk(runs?.meanMs, others.meanMs, calls),
    tokensPerSecond: shrunk(runs?.tokensPerSecond, others.tokensPerSecond, calls),
  }
}

/** Where nobody was measured nobody is ahead. */
const UNMEASURED = 15

const performanceOf = ({ runs }: Candidate, { points }: Class): number =>
  shrunk(measured(runs), points, runs?.calls ?? 0) ?? UNMEASURED

function fitness({ model }: Candidate, { taskType }: Wish): number {
  if (model.capabilitySource === 'name') return 20
  return isMadeFor(taskType, model) ? 40 : 30
}

const gigabytes = ({ sizeMb }: NodeModel): number | undefined => (sizeMb === undefined ? undefined : sizeMb / MB_PER_GB)

/** From 15 at one size to 5 at another, and no further. */
function falling(value: number, from: number, to: number): number {
  const share = (value - from) / (to - from)
  return 15 - 10 * Math.min(1, Math.max(0, share))
}

const SMALL_GB = 0.5
const LARGE_GB = 40
const [HANDY_GB, ROOMY_GB] = [2, 8]

function sizePoints({ model }: Candidate, priority: SelectionPriority): number {
  const size = gigabytes(model)
  if (size === undefined) return 10
  if (priority === 'speed') return falling(size, SMALL_GB, LARGE_GB)
  if (priority === 'quality') return falling(size, LARGE_GB, SMALL_GB)
  if (size < HANDY_GB) return falling(size, HANDY_GB, SMALL_GB)
  return falling(size, ROOMY_GB, LARGE_GB)
}

function recencyOf(candidate: Candidate, nowSeconds: number): number {
  if (isLoaded(candidate)) return 10
  const lastAt = candidate.runs?.lastAt
  if (lastAt === undefined) return 0
  const hours = (nowSeconds - lastAt) / HOUR_SECONDS
  return hours < 1 ? 7 : hours < 24 ? 4 : 0
}

/** What is loaded needs no room; where no agent tells what is free, only an idle card is known to have some. */
function fitOf(candidate: Candidate): number {
  const { state, model } = candidate
  if (isLoaded(candidate)) return 5
  if (!state.gpu) return state.loaded.length === 0 && model.server === 'ollama' ? 5 : 0
  return model.sizeMb !== undefined && model.sizeMb <= state.gpu.freeMb ? 5 : 0
}

function bonusOf({ model }: Candidate, priority: SelectionPriority, tokensPerSecond: number | undefined): number {
  if (priority === 'speed') return Math.min(MOST_BONUS, 2 * (tokensPerSecond ?? 0))
  if (priority === 'quality') return Math.min(MOST_BONUS, 10 * (gigabytes(model) ?? 0))
  return 0
}

const HEALTH = { healthy: 1, degraded: 0.5, unknown: 0.5, unhealthy: 0 }
const FAR_MS = 1000

/** How good a node is among those that have the same model. */
export function nodeWorth({ state, atOnce, runs, ...candidate }: Candidate): number {
  const inside = Object.values(state.inFlight).reduce((sum, count) => sum + count, 0)
  const load = Math.min(1, (inside + state.waiting) / atOnce)
  const latency = state.latencyMs === undefined ? 0.5 : Math.max(0, 1 - state.latencyMs / FAR_MS)
  const errors = runs && runs.calls > 0 ? 1 - runs.ok / runs.calls : 0
  const isReady = isLoaded({ state, model: candidate.model })
  return 0.4 * HEALTH[state.health] + 0.3 * (1 - load) + 0.2 * latency + 0.1 * (1 - errors) + (isReady ? 0.2 : 0)
}
