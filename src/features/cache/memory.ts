import type { Deps } from '../../core/context.ts'

type World = Pick<Deps, 'memory' | 'now'>

/** So long an isolate may answer from its own copy while Redis is away and nobody can tell whether it was removed. */
const REMEMBERED_MS = 300_000
/** Of the 128 MB that an isolate has. */
const MAX_REMEMBERED_BYTES = 8_000_000
const MAX_REMEMBERED = 1000

/** The stamp of the copy that this isolate has of an entry. */
export function heldStamp({ memory, now }: World, key: string): string | undefined {
  const copy = memory.answers.get(key)
  if (!copy || copy.untilMs > now()) return copy?.stamp
  memory.answers.delete(key)
  return undefined
}

/** The copy of an entry, if it is the one of that stamp; what is used moves to the end of those that are kept. */
export function recallAnswer({ memory: { answers } }: World, key: string, stamp: string): string | undefined {
  const copy = answers.get(key)
  if (copy?.stamp !== stamp) return undefined
  answers.delete(key)
  answers.set(key, copy)
  return copy.text
}

/** A map keeps the order in which it was filled: what was used longest ago goes first. */
export function rememberAnswer(
  { memory: { answers }, now }: World,
  key: string,
  { stamp, text }: { stamp: string; text: string },
): void {
  answers.delete(key)
  answers.set(key, { stamp, text, untilMs: now() + REMEMBERED_MS })
  let chars = 0
  for (const copy of answers.values()) chars += copy.text.length
  for (const [oldest, copy] of answers) {
    if (chars * BYTES_PER_CHAR <= MAX_REMEMBERED_BYTES && answers.size <= MAX_REMEMBERED) break
    answers.delete(oldest)
    chars -= copy.text.length
  }
}

/** At the most: a text outside Latin-1 takes two in memory. */
const BYTES_PER_CHAR = 2
