import { describe, expect, it } from 'vitest'
import { createGate } from '../../../src/features/gates/service.ts'
import { inProcess, type Sent, startGateway } from '../../support/gateway.ts'
import { sqliteStorage } from '../../support/sqlite-storage.ts'

const messages = [{ role: 'user', content: 'Hello' }]
const line = (content: string, done: boolean) =>
  `${JSON.stringify({ model: 'llama3', message: { role: 'assistant', content }, done, done_reason: done ? 'stop' : undefined, prompt_eval_count: 3, eval_count: 2 })}\n`

/** A node whose answers end when the test says so. */
async function start(nodeConcurrency: number) {
  const running: { sent: Sent; end: () => void }[] = []
  let most = 0
  let entered = 0
  const gate = inProcess(createGate({ exec: sqliteStorage().exec, now: Date.now }))
  const counted: typeof gate = {
    ...gate,
    enter: (entry) => {
      entered += 1
      return gate.enter(entry)
    },
  }
  const gateway = await startGateway({
    nodeModels: ['llama3'],
    nodeConcurrency,
    upstream: (sent) => {
      if (sent.to !== 'ollama') return Response.json(completion)
      const { promise, resolve } = Promise.withResolvers<void>()
      const one = {
        sent,
        end: () => {
          if (running.includes(one)) running.splice(running.indexOf(one), 1)
          resolve()
        },
      }
      running.push(one)
      most = Math.max(most, running.length)
      sent.signal.addEventListener('abort', one.end)
      return new Response(bodyUntil(promise))
    },
    deps: { gateOf: () => counted },
  })
  const chat = (more: object = {}, init: RequestInit = {}) => gateway.chat({ model: 'llama3', messages, ...more }, init)
  const soon = { interval: 2, timeout: 20_000 }
  const runs = (count: number) => expect.poll(() => running.length, soon).toBe(count)
  /** So many calls have come to the gate. */
  const came = (count: number) => expect.poll(() => entered, soon).toBe(count)
  /** Ends the call that has run the longest. */
  const endOne = () => running[0]?.end()
  return { gateway, chat, running, runs, came, endOne, most: () => most }
}

const completion = {
  id: 'c1',
  object: 'chat.completion',
  created: 1,
  model: 'gpt-4o',
  choices: [{ index: 0, message: { role: 'assistant', content: 'Hi' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 3, completion_tokens: 1, total_tokens: 4 },
}

/** Begins at once and ends when it may. */
function bodyUntil(end: Promise<void>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  return new ReadableStream({
    async start(controller) {
      await end
      controller.enqueue(encoder.encode(line('Hi', true)))
      controller.close()
    },
  })
}

describe('a node that takes so many calls at once', () => {
  it('never has more, and answers all in turn, the most urgent first', async () => {
    const { gateway, chat, runs, came, endOne, most } = await start(2)
    const ask = async (name: string) => {
      const said = [{ role: 'user', content: name }]
      const { status } = await chat({ messages: said, helix: { priority: name.split(' ')[0] } })
      return status
    }
    const calls = [ask('normal 1'), ask('normal 2')]
    await runs(2)
    calls.push(ask('low 3'), ask('normal 4'), ask('critical 5'))
    await came(5)
    for (const left of [2, 2, 2, 1, 0]) {
      endOne()
      await runs(left)
    }
    expect(await Promise.all(calls)).toEqual(Array(5).fill(200))
    expect(most()).toBe(2)
    const asked = gateway.sent.map(({ body }) => JSON.stringify(body.messages))
    const order = ['critical 5', 'normal 4', 'low 3'].map((name) => asked.findIndex((text) => text.includes(name)))
    expect(order).toEqual([2, 3, 4])
  })

  it('is left for another at once where there is one, and nobody holds that against it', async () => {
    const { gateway, chat, runs, endOne } = await start(1)
    const first = chat()
    await runs(1)
    for (let at = 0; at < 6; at++) {
      const other = await chat({ helix: { fallback_models: ['gpt-4o'] } })
      expect([other.status, other.headers.get('x-helix-provider')]).toEqual([200, 'openai'])
      expect(other.headers.get('x-helix-attempts')).toBe('2')
    }
    endOne()
    expect((await first).status).toBe(200)
    const again = chat({ helix: { fallback_models: ['gpt-4o'] } })
    await runs(1)
    endOne()
    expect((await again).headers.get('x-helix-provider')).toBe('ollama')
    await gateway.rows()
    const attempts = gateway.ledger.decisions().map((decision) => decision.attempts.map(({ outcome }) => outcome))
    expect(attempts).toContainEqual(['overloaded', 'ok'])
  })

  it('tells who has waited for too long to come back', async () => {
    const { gateway, chat, runs, endOne } = await start(1)
    const first = chat()
    await runs(1)
    const late = await chat({ helix: { timeout_ms: 1000 } })
    expect(late.status).toBe(503)
    expect(late.headers.get('retry-after')).toBe('1')
    expect(await late.json()).toMatchObject({ error: { code: 'model_overloaded', type: 'server_error' } })
    endOne()
    expect((await first).status).toBe(200)
    expect((await gateway.rows()).map(({ status, error_code }) => [status, error_code])).toEqual([
      ['error', 'model_overloaded'],
      ['ok', null],
    ])
  })

  it('has a place again when a stream ends, and when its caller or somebody who waits leaves', async () => {
    const { gateway, chat, running, runs, came, endOne } = await start(1)
    const leaving = new AbortController()
    const stream = chat({ stream: true }, { signal: leaving.signal }).catch(() => undefined)
    await runs(1)
    const gone = new AbortController()
    const waiting = chat({}, { signal: gone.signal })
    await came(2)
    const next = chat({ stream: true })
    await came(3)
    gone.abort()
    leaving.abort()
    await expect.poll(() => running.some(({ sent }) => !sent.signal.aborted), { timeout: 20_000 }).toBe(true)
    await runs(1)
    endOne()
    expect(await (await next).text()).toContain('[DONE]')
    await Promise.all([stream, waiting])
    const last = chat()
    await runs(1)
    endOne()
    expect((await last).status).toBe(200)
    await gateway.rows()
  })
})
