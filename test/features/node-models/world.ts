import type { NodeModel, NodeRuns, NodeState } from '../../../src/core/node.ts'
import type { Candidate } from '../../../src/features/node-models/score.ts'

export const NOW = 1_900_000_000

export const model = (name: string, given: Partial<NodeModel> = {}): NodeModel => ({
  name,
  server: 'ollama',
  sizeMb: 4000,
  capabilities: ['completion', 'json'],
  capabilitySource: 'show',
  ...given,
})

export const state = (given: Partial<NodeState> = {}): NodeState => ({
  health: 'healthy',
  checkedAtMs: NOW * 1000,
  seenAtMs: NOW * 1000,
  fault: undefined,
  version: '0.33.0',
  latencyMs: 10,
  models: [],
  loaded: [],
  gpu: undefined,
  speech: undefined,
  agent: undefined,
  inFlight: {},
  waiting: 0,
  ...given,
})

export const runs = (given: Partial<NodeRuns> = {}): NodeRuns => ({
  calls: 50,
  ok: 50,
  meanMs: 1000,
  tokensPerSecond: 10,
  meanTokens: 100,
  lastAt: NOW - 200_000,
  ...given,
})

export const candidate = (id: string, given: Partial<Candidate> & { has?: Partial<NodeModel> } = {}): Candidate => {
  const { has, ...rest } = given
  return { id, model: model(id.slice(id.indexOf('/') + 1), has), state: state(), atOnce: 4, runs: undefined, ...rest }
}
