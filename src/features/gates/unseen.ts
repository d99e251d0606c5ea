import type { NodeState } from '../../core/node.ts'
import type { Occupancy } from './gate.ts'

/** What is known of what nobody has looked at: who is inside. */
export const unseen = ({ inFlight, waiting }: Occupancy): NodeState => ({
  health: 'unknown',
  checkedAtMs: undefined,
  seenAtMs: undefined,
  fault: undefined,
  version: undefined,
  latencyMs: undefined,
  models: [],
  loaded: [],
  gpu: undefined,
  speech: undefined,
  agent: undefined,
  inFlight,
  waiting,
})
