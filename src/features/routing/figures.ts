import type { Ask } from '../../core/admission.ts'
import type { Deps } from '../../core/context.ts'
import type { Figures } from '../../core/routing.ts'
import { breakerOf, type Target } from './target.ts'

/** Targets of many organisations: theirs must not fill the isolate. */
const MOST_REMEMBERED = 2000

type World = Pick<Deps, 'memory'>

/** What admission told of the targets, for calls that must decide what to hold before they are told anew. */
export function rememberFigures(
  { memory: { figures } }: World,
  targets: readonly Target[],
  told: ReadonlyMap<string, Figures> | undefined,
): void {
  if (!told) return
  for (const target of targets) {
    const found = told.get(target.id)
    if (found === undefined) continue
    const id = breakerOf(target)
    figures.delete(id)
    for (const [oldest] of figures) {
      if (figures.size < MOST_REMEMBERED) break
      figures.delete(oldest)
    }
    figures.set(id, found)
  }
}

export const recallFigures = ({ memory: { figures } }: World, target: Target): Figures | undefined =>
  figures.get(breakerOf(target))

/**
 * A call of the target begins in this isolate: it counts as under way until the function that is given back is called,
 * once or more often.
 */
export function begin({ memory: { underWay } }: World, target: Target): () => void {
  const id = breakerOf(target)
  underWay.set(id, (underWay.get(id) ?? 0) + 1)
  let isOver = false
  return () => {
    if (isOver) return
    isOver = true
    const left = (underWay.get(id) ?? 0) - 1
    if (left > 0) underWay.set(id, left)
    else underWay.delete(id)
  }
}

/** Calls under way here, for admission to tell the other isolates of. */
export function busyOf({ memory, newId }: Pick<Deps, 'memory' | 'newId'>, targets: readonly Target[]): Ask['busy'] {
  memory.isolateId ??= newId('iso')
  return { isolate: memory.isolateId, counts: targets.map((target) => memory.underWay.get(breakerOf(target)) ?? 0) }
}
