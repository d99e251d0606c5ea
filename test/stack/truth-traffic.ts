import { count } from '../support/lane.ts'
import type { Stack } from '../support/stack.ts'

/** What one call asked for and what its caller saw of it. */
export type Made = {
  marker: string
  kind: string
  requestId: string | undefined
  status: number | undefined
}

type Kind = {
  name: string
  weight: number
  /** Directives for the fake vendor. */
  fault?: (random: () => number) => string
  body?: object
  embedding?: boolean
  /** What fails before its first word opens the breaker of its model: the others stay out of its way. */
  model?: string
  /** The caller hangs up after so many milliseconds of the answer. */
  leavesAfterMs?: (random: () => number) => number
}

const between = (random: () => number, least: number, most: number) => least + Math.floor(random() * (most - least))
const stream = { stream: true }
const withUsage = { stream: true, stream_options: { include_usage: true } }
const hurried = { helix: { timeout_ms: 1000 } }

/** On a busy machine a vendor hears late that its caller left: few calls must be slower, so that it writes little more. */
const PIECE_MS = count(80, 30)

/** Every way in which a call can go, by how often it does. */
export const kinds: readonly Kind[] = [
  { name: 'whole', weight: 16 },
  { name: 'stream', weight: 12, body: stream },
  { name: 'stream with usage', weight: 6, body: withUsage },
  { name: 'embedding', weight: 8, embedding: true },
  { name: 'several choices', weight: 4, body: { ...stream, n: 3 } },
  {
    name: 'usage of its own',
    weight: 3,
    fault: (random) => `usage=${between(random, 1, 5000)}/${between(random, 1, 900)}`,
  },
  { name: 'whole without usage', weight: 5, fault: () => 'nousage,pieces=120' },
  { name: 'stream without usage', weight: 5, body: stream, fault: () => 'nousage,pieces=120' },
  { name: 'embedding without usage', weight: 3, embedding: true, fault: () => 'nousage' },
  {
    name: 'left in the middle',
    weight: 12,
    body: stream,
    fault: () => `slow=${PIECE_MS},pieces=120`,
    leavesAfterMs: (random) => between(random, 10 * PIECE_MS, 100 * PIECE_MS),
  },
  { name: 'cut', weight: 4, body: stream, fault: (random) => `cut=${between(random, 20, 60)},pieces=120` },
  { name: 'ended early', weight: 3, body: stream, fault: (random) => `eof=${between(random, 20, 60)},pieces=120` },
  { name: 'malformed', weight: 3, body: stream, fault: (random) => `malformed=${between(random, 20, 60)},pieces=120` },
  {
    name: 'error event',
    weight: 3,
    body: stream,
    fault: (random) => `errorevent=${between(random, 20, 60)},pieces=120`,
  },
  { name: 'fell silent', weight: 1, body: { ...stream, ...hurried }, fault: () => 'hang-after=40,pieces=120' },
  { name: 'never answered', weight: 1, model: 'gpt-4.1-mini', body: hurried, fault: () => 'hang' },
  { name: 'reset', weight: 2, model: 'gpt-4.1', fault: () => 'reset' },
  { name: 'a page', weight: 1, model: 'gpt-4.1-nano', fault: () => 'html200' },
  { name: 'an empty page', weight: 1, model: 'gpt-4-turbo', fault: () => 'empty200' },
  { name: 'refused', weight: 2, fault: () => 'status=400' },
  { name: 'not there', weight: 1, body: stream, fault: () => 'status=404' },
  { name: 'overloaded', weight: 1, model: 'gpt-3.5-turbo', body: stream, fault: () => 'status=503' },
  { name: 'failed once', weight: 4, fault: () => 'status=500,times=1' },
  { name: 'too many once', weight: 2, body: stream, fault: () => 'status=429,retry-after=0,times=1' },
]

/** Plain English, of which every tokenizer makes about a token a word. */
const sentences = [
  'Please write a short story about a keeper who finds a letter in a bottle.',
  'How many people live in the city of Lagos, and how has that changed since 1990?',
  'Put this text into two or three lines without losing what it wants to say.',
  'They met on a Tuesday, spoke about the budget for the coming year and went home.',
  'What makes a thread cheaper than a process? Give one example of each.',
  'I have 3 apples and 12 pears; if I give away 5 of them, how many are left?',
  'Say this in French: where is the nearest station, and when does it close?',
  'Tell a ten year old child why the sky is blue and why the sunset is red.',
]

/** A small, fast generator (mulberry32): the same seed makes the same traffic. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

function kindAt(random: () => number): Kind {
  let at = random() * kinds.reduce((sum, { weight }) => sum + weight, 0)
  for (const kind of kinds) {
    at -= kind.weight
    if (at < 0) return kind
  }
  throw new RangeError('weights do not add up')
}

function bodyOf(kind: Kind, marker: string, random: () => number): object {
  const text = Array.from(
    { length: between(random, 1, 12) },
    () => sentences[between(random, 0, sentences.length)],
  ).join(' ')
  const speech = kind.fault ? `${text} fault:${kind.fault(random)}` : text
  if (kind.embedding) return { model: 'text-embedding-3-small', input: speech, user: marker, dimensions: 8 }
  return { model: kind.model ?? 'gpt-4o', messages: [{ role: 'user', content: speech }], user: marker, ...kind.body }
}

/** Makes one call of a random kind and lives through whatever becomes of it. */
export async function makeCall(
  stack: Stack,
  apiKey: string,
  { marker, random }: { marker: string; random: () => number },
): Promise<Made> {
  const kind = kindAt(random)
  const body = bodyOf(kind, marker, random)
  const leaving = new AbortController()
  const leavesAfterMs = kind.leavesAfterMs?.(random)
  const path = kind.embedding ? '/v1/embeddings' : '/v1/chat/completions'
  try {
    const response = await stack.call(apiKey, path, body, { signal: leaving.signal })
    const made = {
      marker,
      kind: kind.name,
      requestId: response.headers.get('x-request-id') ?? undefined,
      status: response.status,
    }
    if (leavesAfterMs !== undefined) setTimeout(() => leaving.abort(), leavesAfterMs)
    await response.text().catch(() => undefined)
    return made
  } catch {
    return { marker, kind: kind.name, requestId: undefined, status: undefined }
  }
}

/** Makes `total` calls, so many at a time. */
export async function makeTraffic(
  stack: Stack,
  apiKey: string,
  { total, atOnce, seed }: { total: number; atOnce: number; seed: number },
): Promise<Made[]> {
  const random = randomOf(seed)
  const made: Made[] = []
  let next = 0
  const caller = async (): Promise<void> => {
    while (next < total) {
      const marker = `m${seed}-${next++}`
      made.push(await makeCall(stack, apiKey, { marker, random: randomOf(Math.floor(random() * 2 ** 32)) }))
    }
  }
  await Promise.all(Array.from({ length: atOnce }, caller))
  return made
}
