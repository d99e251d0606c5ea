import type { Deps } from '../../core/context.ts'
import { DependencyError } from '../../core/errors.ts'
import { reliabilityOf } from './answers.ts'

/** A member that was asked nothing for so long is as new. */
const KEPT_SECONDS = 90 * 86_400

/**
 * How often an organisation's members answered and were right, for each kind of task.
 *
 * <org>:wins:<task type>   hash   `w:<target>` answers that were chosen or said the same as the chosen one, and
 *                                 `n:<target>` answers that were weighed; ninety days after the last
 */
export const winsKey = (orgId: string, taskType: string): string => `${orgId}:wins:${taskType}`

type Members = { orgId: string; taskType: string; targets: readonly string[] }

/** The reliability of each of these targets, 0 to 1; that of one who has not answered yet where Redis is away. */
export async function readReliability(
  { redis, log }: Pick<Deps, 'redis' | 'log'>,
  { orgId, taskType, targets }: Members,
): Promise<ReadonlyMap<string, number>> {
  const kept = await redis.pipeline([['HGETALL', winsKey(orgId, taskType)]]).then(
    ([fields]) => fields,
    (error: unknown) => {
      if (!(error instanceof DependencyError)) throw error
      log.warn('wins_not_read', { cause: String(error.cause) })
      return undefined
    },
  )
  const count = (field: string): number => {
    const value = typeof kept === 'object' && kept !== null ? Number(Reflect.get(kept, field)) : 0
    return Number.isSafeInteger(value) && value > 0 ? value : 0
  }
  return new Map(
    targets.map((target) => [target, reliabilityOf({ wins: count(`w:${target}`), answers: count(`n:${target}`) })]),
  )
}

/** Counts the answers of a panel that was weighed; `won` are those that were chosen or said the same. */
export async function noteWins(
  { redis, log }: Pick<Deps, 'redis' | 'log'>,
  { orgId, taskType, targets, won }: Members & { won: readonly string[] },
): Promise<void> {
  const key = winsKey(orgId, taskType)
  try {
    await redis.pipeline([
      ...targets.map((target) => ['HINCRBY', key, `n:${target}`, 1] as const),
      ...won.map((target) => ['HINCRBY', key, `w:${target}`, 1] as const),
      ['EXPIRE', key, KEPT_SECONDS],
    ])
  } catch (error) {
    if (!(error instanceof DependencyError)) throw error
    log.warn('wins_not_noted', { cause: String(error.cause) })
  }
}
