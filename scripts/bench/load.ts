import { Agent, request } from 'node:http'
import type { Subject } from './subjects.ts'

export type Call = {
  path?: string
  body: unknown
}
export type Answered = { ms: number; reads: number; bytes: number }

const agent = new Agent({ keepAlive: true, maxSockets: 512 })

/** One call, read to its end. Rejects unless it is a 200. */
export function send({ url, apiKey }: Subject, { path = '/v1/chat/completions', body }: Call): Promise<Answered> {
  const text = JSON.stringify(body)
  const startMs = performance.now()
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${apiKey}`,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
    }
    const sent = request(`${url}${path}`, { method: 'POST', agent, headers }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.once('error', reject)
      response.once('end', () => {
        const bytes = Buffer.concat(chunks)
        if (response.statusCode !== 200) return reject(new Error(`${url}: ${response.statusCode} ${bytes}`))
        resolve({ ms: performance.now() - startMs, reads: chunks.length, bytes: bytes.length })
      })
    })
    sent.once('error', reject)
    sent.end(text)
  })
}

/** `total` calls, never more than `parallel` at once. */
export async function sendMany(
  subject: Subject,
  call: Call,
  { total, parallel }: { total: number; parallel: number },
): Promise<Answered[]> {
  const answers: Answered[] = []
  let left = total
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1
      answers.push(await send(subject, call))
    }
  }
  await Promise.all(Array.from({ length: parallel }, worker))
  return answers
}

/** Calls at a steady pace, whether or not earlier ones have been answered. */
export async function sendPaced(
  subject: Subject,
  call: Call,
  { perSecond, seconds }: { perSecond: number; seconds: number },
): Promise<Answered[]> {
  const startMs = performance.now()
  const total = perSecond * seconds
  const running: Promise<Answered>[] = []
  while (running.length < total) {
    const due = Math.min(total, Math.ceil(((performance.now() - startMs) / 1000) * perSecond))
    while (running.length < due) running.push(send(subject, call))
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  return Promise.all(running)
}

export const closeConnections = (): void => agent.destroy()

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

const talk = [
  {
    role: 'system',
    content: 'You are a helpful assistant of a small team. Answer briefly, and say when you do not know.',
  },
  { role: 'user', content: 'What should we look at first when our service became slower after the last release?' },
]

export const chatBody = { model: 'gpt-4o', messages: talk, temperature: 0.7, max_tokens: 200 }

/** A stream of so many events, one a millisecond, so that each travels alone. */
export const streamBody = (events: number) => ({
  model: 'gpt-4o',
  stream: true,
  stream_options: { include_usage: true },
  messages: [...talk, { role: 'user', content: `fault:pieces=${events},slow=1` }],
})
