import type { Stack } from '../support/stack.ts'

/** A call as its client saw it. `status` is 0 where the connection broke. */
export type Seen = {
  startedMs: number
  endedMs: number
  status: number
  provider: string | null
  attempts: number
  /** Whole, or a stream up to its proper end. */
  isAnswered: boolean
  /** A store did not answer in time: on a busy machine that is nobody's fault. */
  isStarved: boolean
  retryAfterSeconds: number | undefined
}

export type Caller = { stack: Stack; apiKey: string; models: readonly [string, ...string[]] }

export async function ask({ stack, apiKey, models: [model, ...fallbacks] }: Caller, stream = false): Promise<Seen> {
  const startedMs = Date.now()
  const seen = { startedMs, provider: null, attempts: 0, retryAfterSeconds: undefined }
  try {
    const messages = [{ role: 'user', content: 'Tell me something.' }]
    const helix = fallbacks.length > 0 ? { helix: { fallback_models: fallbacks } } : {}
    const response = await stack.call(apiKey, '/v1/chat/completions', {
      model,
      messages,
      max_tokens: 16,
      stream,
      ...helix,
    })
    const text = await response.text()
    const { headers, status } = response
    const retryAfter = headers.get('retry-after')
    return {
      startedMs,
      endedMs: Date.now(),
      status,
      provider: headers.get('x-helix-provider'),
      attempts: Number(headers.get('x-helix-attempts') ?? 0),
      isStarved: status === 503 && /dependency_unavailable|budget_unavailable/.test(text),
      isAnswered: status === 200 && (!stream || (text.includes('[DONE]') && !text.includes('"error"'))),
      retryAfterSeconds: retryAfter === null ? undefined : Number(retryAfter),
    }
  } catch {
    return { ...seen, endedMs: Date.now(), status: 0, isAnswered: false, isStarved: false }
  }
}

/** So many calls a second, whatever becomes of them, until `isOver` says so. */
export async function openLoop(
  caller: Caller,
  { rps, isOver }: { rps: number; isOver: () => boolean },
): Promise<Seen[]> {
  const calls: Promise<Seen>[] = []
  const beganMs = Date.now()
  while (!isOver()) {
    const due = Math.floor(((Date.now() - beganMs) * rps) / 1000) + 1
    while (calls.length < due) calls.push(ask(caller, calls.length % 2 === 1))
    await new Promise((resolve) => setTimeout(resolve, 1000 / rps))
  }
  return Promise.all(calls)
}

/** So many clients, each of which asks again once it is answered, but not sooner than `everyMs`; `callers` take turns. */
export async function closedLoop(
  callers: readonly Caller[],
  { clients, everyMs = 0, isOver }: { clients: number; everyMs?: number; isOver: (calls: number) => boolean },
): Promise<Seen[]> {
  const seen: Seen[] = []
  let begun = 0
  const client = async (no: number): Promise<void> => {
    for (let turn = no; !isOver(begun); turn += 1) {
      begun += 1
      const caller = callers[turn % callers.length]
      const pause = new Promise((resolve) => setTimeout(resolve, everyMs))
      if (caller) seen.push(await ask(caller, turn % 2 === 1))
      await pause
    }
  }
  await Promise.all(Array.from({ length: clients }, (_, no) => client(no)))
  return seen
}

export const attemptsPerCall = (seen: readonly Seen[]): number =>
  seen.reduce((sum, { attempts }) => sum + attempts, 0) / seen.length
