import * as z from 'zod'
import { AppError } from '../../core/errors.ts'

/** One line of Ollama's answer to `POST /api/pull`. */
export const PullLine = z.looseObject({
  status: z.string().max(255).optional(),
  error: z.string().optional(),
  /** Of a layer; layers are told of one after the other. */
  digest: z.string().max(200).optional(),
  total: z.number().nonnegative().optional(),
  completed: z.number().nonnegative().optional(),
})
export type PullLine = z.output<typeof PullLine>

/** Decimal, as disks are sold. */
export const MOST_PULL_BYTES = 80e9
const MOST_LAYERS = 1000

/** How far a pull is. Bytes never go down, and neither does the share of the job. */
export type Pulled = { completed_bytes: number; total_bytes: number; status: string }

/** Adds up the layers of a pull, from where an attempt before has left off. */
export function createPullTally(before: Pulled = { completed_bytes: 0, total_bytes: 0, status: '' }) {
  const layers = new Map<string, { total: number; completed: number }>()
  let most = before
  return {
    /** Throws 413 for a model that is too large, and whatever the node says went wrong. */
    add(line: PullLine): Pulled {
      if (line.error !== undefined) throw failureOf(line.error)
      if (line.digest !== undefined) {
        if (layers.size >= MOST_LAYERS && !layers.has(line.digest)) {
          throw new AppError('provider_error', 'The node tells of more layers than any model has.')
        }
        const known = layers.get(line.digest) ?? { total: 0, completed: 0 }
        const total = Math.max(known.total, line.total ?? 0)
        const completed = Math.min(total, Math.max(known.completed, line.completed ?? 0))
        layers.set(line.digest, { total, completed })
      }
      const sum = (of: 'total' | 'completed'): number => [...layers.values()].reduce((all, one) => all + one[of], 0)
      const total = sum('total')
      if (total > MOST_PULL_BYTES) {
        throw new AppError('payload_too_large', `A model of more than ${MOST_PULL_BYTES / 1e9} GB is not pulled.`)
      }
      most = {
        completed_bytes: Math.max(most.completed_bytes, sum('completed')),
        total_bytes: Math.max(most.total_bytes, total),
        status: line.status ?? most.status,
      }
      return most
    },
  }
}

/** Of everything that is known to be there; checking and writing come after the last byte. */
export const shareOf = ({ completed_bytes, total_bytes }: Pulled): number =>
  total_bytes === 0 ? 0 : 0.99 * Math.min(1, completed_bytes / total_bytes)

const MISSING = /does not exist|not found|manifest unknown/i

function failureOf(words: string): AppError {
  if (MISSING.test(words)) return new AppError('model_not_found', 'There is no such model to be pulled.')
  return new AppError('provider_error', 'The node could not pull the model.', {
    details: { node_error: words.slice(0, 300) },
  })
}
