import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { SHARED_NODE_ID } from '../../src/core/node.ts'
import type { Priority } from '../../src/core/routing.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { type Team, team } from './accounts-kit.ts'

const VISION_AT_ONCE = 2
const soon = { timeout: 30_000, interval: 20 }
const picture =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAACAAAAAgCAIAAAD8GO2jAAAAJklEQVR42u3NMQ0AAAwDoPo33arYsQQMkB6LQCAQCAQCgUAg+BIMi1X0ptsIcT0AAAAASUVORK5CYII='

const Asked = z.looseObject({
  messages: z.array(z.looseObject({ content: z.string(), images: z.array(z.string()).optional() })),
})
const Shown = z.looseObject({
  state: z.looseObject({ health: z.string(), fault: z.string().nullable(), models: z.number() }),
  load: z.looseObject({ in_flight: z.record(z.string(), z.number()), waiting: z.number() }),
})

/** A node whose answers end when the test says so, and whose tunnel can be stopped. */
async function startNode() {
  const running: { content: string; isVision: boolean; end: () => void }[] = []
  const began: string[] = []
  let most = 0
  const chat = (asked: z.output<typeof Asked>, response: ServerResponse): void => {
    const { content = '', images } = asked.messages.at(-1) ?? {}
    const one = {
      content,
      isVision: images !== undefined,
      end: () =>
        void response.end(
          `${JSON.stringify({ model: 'eyes', message: { role: 'assistant', content: 'Yes.' }, done: true, done_reason: 'stop', prompt_eval_count: 5, eval_count: 2 })}\n`,
        ),
    }
    running.push(one)
    began.push(content)
    most = Math.max(most, running.filter(({ isVision }) => isVision).length)
    response.once('close', () => running.splice(running.indexOf(one), 1))
  }
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const send = (value: object) =>
      void response.setHeader('content-type', 'application/json').end(JSON.stringify(value))
    switch (request.url) {
      case '/api/tags':
        return send({ models: [{ name: 'eyes:1b', digest: 'd', capabilities: ['completion', 'vision'] }] })
      case '/api/version':
        return send({ version: '0.30.1' })
      case '/api/ps':
        return send({ models: [] })
      case '/api/show':
        return send({ capabilities: ['completion', 'vision'], model_info: { 'x.context_length': 8192 } })
      case '/api/chat':
        return chat(Asked.parse(JSON.parse(Buffer.concat(chunks).toString())), response)
      default:
        response.writeHead(404).end()
    }
  }
  const listen = async (port: number): Promise<Server> => {
    const server = createServer((request, response) => void serve(request, response))
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
    return server
  }
  let server = await listen(0)
  const address = server.address()
  if (!address || typeof address === 'string') throw new Error('The node has no port')
  const stop = async () => {
    server.closeAllConnections()
    await new Promise<void>((resolve) => server.close(() => resolve()))
  }
  return {
    url: `http://127.0.0.1:${address.port}`,
    running,
    began,
    most: () => most,
    stop,
    begin: async () => {
      server = await listen(address.port)
    },
  }
}

let node: Awaited<ReturnType<typeof startNode>>
let stack: Stack
let us: Team

beforeAll(async () => {
  node = await startNode()
  stack = await startStack({ vars: { OLLAMA_BASE_URL: node.url, OLLAMA_CONCURRENCY: '4', HEALTH_INTERVAL_MS: '300' } })
  us = await team(stack)
})
afterAll(async () => {
  await stack?.close()
  await node?.stop()
})

const shown = async () => Shown.parse((await us.api(`GET /nodes/${SHARED_NODE_ID}`)).body)

async function ask(apiKey: string, name: string, priority: Priority, isVision: boolean): Promise<number> {
  const content = isVision
    ? [
        { type: 'text', text: name },
        { type: 'image_url', image_url: { url: picture } },
      ]
    : name
  const body = { model: 'ollama/eyes:1b', messages: [{ role: 'user', content }], helix: { priority } }
  const response = await stack.call(apiKey, '/v1/chat/completions', body)
  await response.text()
  return response.status
}

describe('a node', () => {
  it('never sees more than two pictures at once, the most urgent first, and answers a chat beside them', async () => {
    const { apiKey } = await stack.org()
    const waits: Priority[] = ['low', 'normal', 'high', 'normal', 'low', 'critical', 'normal', 'high']
    const first = Array.from({ length: VISION_AT_ONCE }, (_, at) => ask(apiKey, `first ${at}`, 'normal', true))
    await expect.poll(() => node.running.length, soon).toBe(VISION_AT_ONCE)
    const waiting: Promise<number>[] = []
    for (const [at, priority] of waits.entries()) {
      waiting.push(ask(apiKey, `${priority} ${at}`, priority, true))
      await expect.poll(async () => (await shown()).load.waiting, soon).toBe(at + 1)
    }
    const chat = ask(apiKey, 'chat', 'low', false)
    await expect.poll(() => node.began, soon).toContain('chat')
    expect((await shown()).load).toMatchObject({ in_flight: { chat: 1, vision: 2 }, waiting: waits.length })
    node.running.find(({ content }) => content === 'chat')?.end()
    expect(await chat).toBe(200)
    for (let left = waits.length; left > 0; left--) {
      const count = node.began.length
      node.running[0]?.end()
      await expect.poll(() => node.began.length, soon).toBe(count + 1)
    }
    await expect.poll(() => node.running.length, soon).toBe(VISION_AT_ONCE)
    for (const one of [...node.running]) one.end()
    expect(await Promise.all([...first, ...waiting])).toEqual(Array(10).fill(200))
    expect(node.most()).toBe(VISION_AT_ONCE)
    const order = node.began.filter((content) => !content.startsWith('first') && content !== 'chat')
    expect(order).toEqual(['critical 5', 'high 2', 'high 7', 'normal 1', 'normal 3', 'normal 6', 'low 0', 'low 4'])
  })

  it('is known to be away soon after its tunnel has stopped, and to be back', async () => {
    const stateNow = async () => (await shown()).state
    await expect.poll(stateNow, soon).toMatchObject({ health: 'healthy', fault: null, models: 1 })
    await node.stop()
    await expect.poll(stateNow, soon).toMatchObject({ health: 'unhealthy', models: 1 })
    await node.begin()
    await expect.poll(stateNow, soon).toMatchObject({ health: 'healthy', fault: null, models: 1 })
  })
})
