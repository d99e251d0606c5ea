import type { Wire } from '../../src/core/models.ts'

/** A piece of an answer, in nobody's words. */
export type Said =
  | { kind: 'thought'; text: string; signature?: string }
  | { kind: 'hidden'; data: string }
  | { kind: 'text'; text: string; source?: { url: string; title: string } }
  | { kind: 'refusal'; text: string }
  /** `json` is the text of its arguments; empty where the tool takes none. */
  | { kind: 'call'; id: string; name: string; json: string; signature?: string }
  | { kind: 'image'; type: string; base64: string }

export type End = 'stop' | 'length' | 'tool_calls' | 'content_filter'

/** `prompt` includes what was cached and what was written to a cache, `completion` the thoughts. */
export type Counts = {
  prompt: number
  cached: number
  cacheWrite: number
  cacheWriteHour: number
  completion: number
  reasoning: number
}

/** What a model answered: every wire has words for it, or for a part of it. */
export type Truth = { name: string; said: readonly Said[]; end: End; counts: Counts | undefined }

export const wires: readonly Wire[] = ['openai', 'anthropic', 'gemini', 'ollama']

/** Kinds of pieces that a wire has words for. */
const words: Readonly<Record<Wire, readonly Said['kind'][]>> = {
  openai: ['thought', 'text', 'refusal', 'call'],
  anthropic: ['thought', 'hidden', 'text', 'call'],
  gemini: ['thought', 'text', 'call', 'image'],
  ollama: ['thought', 'text', 'call'],
}

/** What of a truth a model behind this wire could have answered. */
export function toldBy(wire: Wire, truth: Truth): Truth | undefined {
  const { said, end, counts } = truth
  if (!said.every(({ kind }) => words[wire].includes(kind))) return undefined
  if (wire === 'ollama' && end === 'content_filter') return undefined
  const told = said.map((piece) => plain(wire, piece))
  return { ...truth, said: told, counts: counts && countedBy(wire, counts) }
}

/** Signatures and sources exist only where a vendor has them; Anthropic signs every thought. */
function plain(wire: Wire, piece: Said): Said {
  if (piece.kind === 'thought') {
    const { kind, text, signature = 'EqQBCgIYAhIM1gbcDa9G' } = piece
    return wire === 'anthropic' ? { kind, text, signature } : { kind, text }
  }
  if (piece.kind === 'call' && wire !== 'gemini') {
    const { kind, id, name, json } = piece
    return { kind, id, name, json }
  }
  if (piece.kind === 'text' && wire === 'ollama') return { kind: 'text', text: piece.text }
  return piece
}

/** How long a cache is kept is Anthropic's alone to tell, what is written to one OpenAI's, too. */
function countedBy(wire: Wire, counts: Counts): Counts {
  if (wire === 'anthropic') return counts
  const { prompt, completion } = counts
  const none = { cached: 0, cacheWrite: 0, cacheWriteHour: 0, reasoning: 0 }
  if (wire === 'ollama') return { ...none, prompt, completion }
  return { ...counts, cacheWriteHour: 0, cacheWrite: wire === 'openai' ? counts.cacheWrite : 0 }
}

/** All pieces of one kind, in order. */
export const piecesOf = <Kind extends Said['kind']>(
  { said }: Pick<Truth, 'said'>,
  kind: Kind,
): Extract<Said, { kind: Kind }>[] =>
  said.filter((piece): piece is Extract<Said, { kind: Kind }> => piece.kind === kind)

/** Texts of one kind, one behind the other. */
export const textOf = (truth: Pick<Truth, 'said'>, kind: 'text' | 'thought' | 'refusal'): string =>
  piecesOf(truth, kind)
    .map(({ text }) => text)
    .join('')
