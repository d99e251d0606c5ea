import type { Deps } from '../../core/context.ts'
import { readFigures } from '../../core/figures.ts'
import type { RedisCommand } from '../../core/redis.ts'
import type { Figures } from '../../core/routing.ts'
import { redisKeys } from '../admission/service.ts'

/** How a target is now, for all isolates. Times are Unix ms. */
export type Live = {
  state: 'closed' | 'open' | 'half_open' | 'cooling'
  /** Until when nobody tries it; undefined for a state that no clock ends. */
  untilMs: number | undefined
  /** In a row, and how often in a row that opened its breaker. */
  failures: number
  openings: number
  figures: Figures | undefined
}

/** How targets are, by what their breakers go by; nothing of them is changed. Throws `DependencyError('redis')`. */
export async function readLive(
  { redis, now }: Pick<Deps, 'redis' | 'now'>,
  ids: readonly string[],
  taskType = '',
): Promise<Live[]> {
  if (ids.length === 0) return []
  const replies = await redis.pipeline([...ids.map(stateCommand), ...ids.map(figuresCommand)])
  const nowMs = now()
  return ids.map((_, at) => {
    const figures = fieldsOf(replies[ids.length + at])
    const kept = figures.get('f')
    return {
      ...stateOf(fieldsOf(replies[at]), nowMs),
      figures: kept === undefined ? undefined : readFigures(kept, figures.get(`o:${taskType}`) ?? null, nowMs),
    }
  })
}

const stateCommand = (id: string): RedisCommand => ['HGETALL', redisKeys.target(id)]
const figuresCommand = (id: string): RedisCommand => ['HGETALL', redisKeys.figures(id)]

const fieldsOf = (reply: unknown): ReadonlyMap<string, string> =>
  new Map(reply !== null && typeof reply === 'object' ? Object.entries(reply) : [])

function stateOf(fields: ReadonlyMap<string, string>, nowMs: number): Omit<Live, 'figures'> {
  const number = (name: string): number => Number(fields.get(name) ?? 0)
  const [openMs, coolMs] = [number('u'), number('c')]
  const counts = { failures: number('f'), openings: openMs > 0 ? number('k') : 0 }
  if (openMs > nowMs) return { state: 'open', untilMs: openMs, ...counts }
  if (coolMs > nowMs) return { state: 'cooling', untilMs: coolMs, ...counts }
  return { state: openMs > 0 ? 'half_open' : 'closed', untilMs: undefined, ...counts }
}
