import { parseScript } from './script.ts'

/** Directives for every request that brings none of its own, or what says them for each. */
export type Directives = string | undefined | (() => string | undefined)

/**
 * What a control request wants to stand: nothing, one list of directives, or of several one by lot for each request.
 * With `per_second=n` the first n requests of a second are answered as if nothing stood. Throws on unknown directives.
 */
export function standingFrom(query: URLSearchParams): Directives {
  const lists = query.getAll('directives')
  for (const list of lists) parseScript(list)
  const allowed = query.get('per_second')
  const pick = () => lists[Math.floor(Math.random() * lists.length)]
  if (allowed !== null) return beyond(Number(allowed), pick)
  return lists.length > 1 ? pick : lists[0]
}

/** A vendor that has capacity for so many requests in a second of its own. */
function beyond(perSecond: number, pick: () => string | undefined): () => string | undefined {
  let [beganMs, used] = [0, 0]
  return () => {
    if (Date.now() - beganMs >= 1000) [beganMs, used] = [Date.now(), 0]
    used += 1
    return used > perSecond ? pick() : undefined
  }
}
