import type { Deps } from '../../core/context.ts'

type World = Pick<Deps, 'memory' | 'now'>

/** After this long Redis is asked again, so that what is in use does not expire there. */
const REMEMBERED_MS = 3_600_000
/** Of the 128 MB that an isolate has. */
const MAX_REMEMBERED_BYTES = 8_000_000
const MAX_REMEMBERED = 4000

/** What is in memory under a key; undefined when nothing is, or when it is old. */
export function remembered({ memory, now }: World, key: string): { text: string; bytes: number } | undefined {
  const kept = memory.signatures.get(key)
  if (!kept || kept.untilMs > now()) return kept
  memory.signatures.delete(key)
  return undefined
}

/** A map keeps the order in which it was filled: what was kept first goes first. */
export function remember({ memory: { signatures }, now }: World, key: string, kept: { text: string; bytes: number }) {
  signatures.delete(key)
  signatures.set(key, { ...kept, untilMs: now() + REMEMBERED_MS })
  let bytes = 0
  for (const one of signatures.values()) bytes += one.bytes
  for (const [oldest, one] of signatures) {
    if (bytes <= MAX_REMEMBERED_BYTES && signatures.size <= MAX_REMEMBERED) break
    signatures.delete(oldest)
    bytes -= one.bytes
  }
}
