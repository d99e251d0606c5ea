import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

/** A call as its client saw it; times are Unix milliseconds. `status` is 0 where the connection broke. */
export type Seen = {
  no: number
  /** What the vendor knows the call by. */
  marker: string
  startedMs: number
  endedMs: number
  status: number
  code: string | undefined
  attempts: number
  retryAfterSeconds: number | undefined
  /** Whole, or a stream up to its proper end. */
  isAnswered: boolean
}
export type Answer = { status: number; text: string; header: (name: string) => string | undefined }
export type Where = { url: string; token: string }
/** The body of a call beside its messages; the number of the call decides what varies. */
export type Asking = (no: number) => { model: string; stream?: boolean; [field: string]: unknown }

/** workerd closes a connection that was idle for five seconds: one that is about to be closed must not be used. */
const agent = new Agent({ keepAlive: true, maxSockets: 1024, timeout: 3000 })

/** One request over a connection that is kept. Rejects when the connection breaks. */
export function exchange({ url, token }: Where, path: string, body?: object): Promise<Answer> {
  const text = body && JSON.stringify(body)
  const headers = {
    authorization: `Bearer ${token}`,
    ...(text !== undefined && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
  }
  return new Promise((resolve, reject) => {
    const sent = request(
      `${url}${path}`,
      { method: text === undefined ? 'GET' : 'POST', agent, headers },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.once('error', reject)
        response.once('end', () => {
          const header = (name: string) => response.headers[name]?.toString()
          resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString(), header })
        })
      },
    )
    sent.once('error', reject)
    sent.end(text)
  })
}

export const closeClients = (): void => agent.destroy()

let calls = 0

export async function ask(where: Where, asking: Asking): Promise<Seen> {
  const no = calls++
  const [marker, startedMs] = [`call-${no}`, Date.now()]
  const messages = [{ role: 'user', content: 'Tell me something.' }]
  const body = { messages, max_tokens: 16, user: marker, ...asking(no) }
  try {
    const { status, text, header } = await exchange(where, '/v1/chat/completions', body)
    const retryAfter = header('retry-after')
    return {
      no,
      marker,
      startedMs,
      endedMs: Date.now(),
      status,
      code: /"code":"(\w+)"/.exec(text)?.[1],
      attempts: Number(header('x-helix-attempts') ?? 0),
      retryAfterSeconds: retryAfter === undefined ? undefined : Number(retryAfter),
      isAnswered: status === 200 && (!body.stream || (text.includes('[DONE]') && !text.includes('"error"'))),
    }
  } catch (error) {
    const code = error instanceof Error ? error.message : String(error)
    const lost = { status: 0, attempts: 0, retryAfterSeconds: undefined, isAnswered: false }
    return { no, marker, startedMs, endedMs: Date.now(), code, ...lost }
  }
}

/** So many calls a second, whatever becomes of them, until `isOver` says so. */
export async function openLoop(
  where: Where,
  asking: Asking,
  { perSecond, isOver }: { perSecond: number; isOver: () => boolean },
): Promise<Seen[]> {
  const running: Promise<Seen>[] = []
  const beganMs = performance.now()
  while (!isOver()) {
    const due = Math.floor(((performance.now() - beganMs) * perSecond) / 1000) + 1
    while (running.length < due) running.push(ask(where, asking))
    await sleep(2)
  }
  return Promise.all(running)
}

/** So many clients, each of which asks again when it is answered, after a thought of up to `thinkMs`. */
export async function closedLoop(
  where: Where,
  asking: Asking,
  { clients, thinkMs = 0, seconds }: { clients: number; thinkMs?: number; seconds: number },
): Promise<Seen[]> {
  const endMs = Date.now() + seconds * 1000
  const seen: Seen[] = []
  const client = async (): Promise<void> => {
    if (thinkMs > 0) await sleep(Math.random() * thinkMs)
    while (Date.now() < endMs) {
      seen.push(await ask(where, asking))
      if (thinkMs > 0) await sleep(Math.random() * thinkMs)
    }
  }
  await Promise.all(Array.from({ length: clients }, client))
  return seen
}

export const attemptsPerCall = (seen: readonly Seen[]): number =>
  seen.reduce((sum, { attempts }) => sum + attempts, 0) / seen.length

export const percentile = (values: readonly number[], share: number): number =>
  values.toSorted((one, other) => one - other)[Math.min(values.length - 1, Math.floor(values.length * share))] ??
  Number.NaN

/** How often each end was met other than an answer, as `503 model_overloaded x12`. */
export function failuresOf(seen: readonly Seen[]): string {
  const counts = new Map<string, number>()
  for (const { isAnswered, status, code } of seen) {
    if (isAnswered) continue
    const name = `${status} ${code ?? 'cut off'}`
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  return [...counts].map(([name, count]) => `${name} x${count}`).join(', ')
}
