import type { Stack } from '../support/stack.ts'
import { randomOf } from './truth-traffic.ts'

/** A call that somebody wants to make: it is asked again until it is answered or nobody can pay it any more. */
export type Wish = {
  marker: string
  body: Record<string, unknown>
  leavesAfterMs: number | undefined
  refusals: number
}

type Kind = { model: string; tokens: number; nanosPerToken: number }

/**
 * Output prices from 0.60 to 30 USD a million; dearer models write less, so that no call is worth much of a cap. Cheap
 * ones are rare, for what they write takes long to pass on.
 */
const [mini, small, usual, dear]: readonly [Kind, Kind, Kind, Kind] = [
  { model: 'gpt-4o-mini', tokens: 600, nanosPerToken: 600 },
  { model: 'gpt-4.1-mini', tokens: 300, nanosPerToken: 1600 },
  { model: 'gpt-4o', tokens: 60, nanosPerToken: 10_000 },
  { model: 'gpt-4-turbo', tokens: 20, nanosPerToken: 30_000 },
]
const kinds: readonly Kind[] = [mini, small, small, usual, usual, usual, usual, dear, dear, dear]

/** What fails before its first word would open the breaker of its model, and nobody could call that for a while. */
const faults = {
  whole: ['', '', '', '', '', '', '', 'status=400'],
  stream: ['', '', '', '', '', '', '', 'status=400', 'cut=5', 'errorevent=5'],
}

type Demand = { demandNanoUsd: number; seed: number; timeoutMs: number }

/** Calls that would cost this much together if all were answered in full. */
export function wishesFor(orgId: string, { demandNanoUsd, seed, timeoutMs }: Demand): Wish[] {
  const random = randomOf(seed)
  const pick = <T>(items: readonly [T, ...T[]] | readonly T[]): T => {
    const item = items[Math.floor(random() * items.length)]
    if (item === undefined) throw new RangeError('nothing to pick from')
    return item
  }
  const wishes: Wish[] = []
  for (let wanted = 0; wanted < demandNanoUsd; ) {
    const { model, tokens, nanosPerToken } = pick(kinds)
    const stream = random() < 0.5
    const fault = pick(stream ? faults.stream : faults.whole)
    const leavesAfterMs = stream && random() < 0.1 ? Math.floor(random() * 60) : undefined
    const pieces = Math.ceil(tokens * (0.5 + random() / 2))
    const content = `Tell me something. fault:pieces=${pieces}${leavesAfterMs === undefined ? '' : ',slow=2'}${fault && `,${fault}`}`
    wishes.push({
      marker: `${orgId}-${wishes.length}`,
      body: {
        model,
        messages: [{ role: 'user', content }],
        max_tokens: tokens,
        stream,
        helix: { timeout_ms: timeoutMs },
      },
      leavesAfterMs,
      refusals: 0,
    })
    if (fault === '' && leavesAfterMs === undefined) wanted += pieces * nanosPerToken
  }
  return wishes
}

export type Outcome = 'done' | 'no_money' | 'again' | 'away'

/** Makes a call once. Whoever was refused for money, cut off by a crash or kept waiting too long may ask again. */
export async function makeWish(stack: Stack, apiKey: string, wish: Wish): Promise<Outcome> {
  const leaving = new AbortController()
  try {
    const body = { ...wish.body, user: wish.marker }
    const response = await stack.call(apiKey, '/v1/chat/completions', body, { signal: leaving.signal })
    const left = new Promise<string>((resolve) => {
      if (!response.ok || wish.leavesAfterMs === undefined) return
      setTimeout(() => {
        leaving.abort()
        // The client sometimes never ends a body that is given up at its very end.
        resolve('')
      }, wish.leavesAfterMs)
    })
    const text = await Promise.race([response.text(), left])
    if (response.status === 429) return text.includes('insufficient_quota') ? 'no_money' : 'again'
    if (response.status === 503) return 'away'
    return response.status === 504 || text.includes('"upstream_timeout"') ? 'again' : 'done'
  } catch {
    return leaving.signal.aborted ? 'done' : 'away'
  }
}
