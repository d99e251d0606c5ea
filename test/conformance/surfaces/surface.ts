import type { Wire } from '../../../src/core/models.ts'
import type { Truth } from '../truth.ts'

/** What a client has understood of an answer, whichever interface it came from. */
export type Heard = {
  text: string
  thoughts: string
  refusal: string
  /** `json` is canonical: arguments have no text of their own in every wire. */
  calls: readonly { id: string; name: string; json: string }[]
  /** In the words of the interface. */
  end: string
  /** Prompt, of it cached, of it written to a cache, completion, of it thoughts; undefined where nothing is told. */
  counts: readonly number[] | undefined
  /** Addresses of sources. */
  sources: readonly string[]
  /** What proves thoughts and calls to their vendor. */
  signatures: readonly string[]
  images: number
}

/** An interface of the gateway, as a client of it sees it. */
export type Surface = {
  name: 'chat' | 'text' | 'messages' | 'responses'
  path: string
  /** The least that can be asked. */
  request(model: string): Record<string, unknown>
  /** The same, streamed. */
  streamed(model: string): Record<string, unknown>
  /** Reads an answer in one piece. Throws when it breaks a rule of the interface. */
  whole(body: unknown): Heard
  /** Reads a stream to its end. Throws when it breaks a rule of the interface, or ends in an error. */
  stream(text: string): Heard
  /** What of a truth its client has to hear, when a model behind this wire has told it. */
  expected(truth: Truth, wire: Wire): Omit<Heard, 'counts'>
}

type Fields = Record<string, unknown>

export const fieldsOf = (value: unknown): Fields => (typeof value === 'object' && value !== null ? { ...value } : {})

export const listOf = (value: unknown): Fields[] => (Array.isArray(value) ? value.map(fieldsOf) : [])

export const stringOf = (value: unknown): string => (typeof value === 'string' ? value : '')

/** Arguments without the freedom that JSON leaves to its writer. Throws when they are no object. */
export function canonical(json: string): string {
  const parsed: unknown = JSON.parse(json === '' ? '{}' : json)
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) throw new Error(`no object: ${json}`)
  return JSON.stringify(parsed)
}

/** Counts as whole numbers, none below zero and no part above its whole. Throws for anything else. */
export function checkedCounts(counts: readonly unknown[]): number[] {
  const [prompt = 0, cached = 0, written = 0, completion = 0, thoughts = 0] = counts.map((count) => count ?? 0)
  const numbers = [prompt, cached, written, completion, thoughts].map(Number)
  const isWhole = numbers.every((count) => Number.isInteger(count) && count >= 0)
  const [all = 0, read = 0, wrote = 0, output = 0, thought = 0] = numbers
  if (!isWhole || read + wrote > all || thought > output) throw new Error(`counts: ${JSON.stringify(counts)}`)
  return numbers
}

/** Signatures within Google's own field. */
export function googleSignature(holder: Fields): string[] {
  const signature = fieldsOf(fieldsOf(holder.extra_content).google).thought_signature
  return typeof signature === 'string' ? [signature] : []
}
