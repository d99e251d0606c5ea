import type { NodeHealth } from '../../core/node.ts'

/** So many looks in a row have to fail before a node is out, and to go well before it is in again. */
const FAILURES = 3
const SUCCESSES = 2

/** How a node's looks went, as far as its health goes by them. Plain data. */
export type Pulse = { health: NodeHealth; failures: number; successes: number }

export const NO_PULSE: Pulse = { health: 'unknown', failures: 0, successes: 0 }

/** After a look that found the node in full, in part (something beside its Ollama is away, or it is slow), or not at all. */
export function pulseAfter({ health, failures, successes }: Pulse, found: 'all' | 'part' | 'nothing'): Pulse {
  if (found === 'nothing') {
    const inRow = failures + 1
    const isOut = health === 'unhealthy' || inRow >= FAILURES
    return { health: isOut ? 'unhealthy' : 'degraded', failures: inRow, successes: 0 }
  }
  const inRow = successes + 1
  const isOut = health === 'unhealthy' && inRow < SUCCESSES
  return { health: isOut ? 'unhealthy' : found === 'all' ? 'healthy' : 'degraded', failures: 0, successes: inRow }
}
