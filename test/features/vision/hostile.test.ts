import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { DemoNode } from '../../../scripts/local/demo-node/server.ts'
import { form, openWorld, PNG, type Team, type VisionWorld } from './world.ts'

/** What a route of the demo node is told to do. */
type Script = Parameters<DemoNode['script']>[0][string]

let world: VisionWorld
let team: Team

beforeAll(async () => {
  world = await openWorld()
  team = await world.team()
})
afterAll(() => world?.close())
beforeEach(() => {
  world.gateway.heal()
  world.node.script({})
  world.pages.clear()
})

const message = { role: 'assistant', content: 'A house.' }
const whole = (more: object) => ({ answer: { model: 'llava:7b', message, done: true, done_reason: 'stop', ...more } })

/** An answer without an end, and what was taken of it. */
function endless(text: string) {
  const taken = { bytes: 0 }
  const piece = Buffer.from(text.repeat(Math.ceil(1_000_000 / text.length)))
  const pull = (controller: ReadableStreamDefaultController<Uint8Array>) => {
    taken.bytes += piece.length
    controller.enqueue(piece)
  }
  return { taken, response: () => new Response(new ReadableStream({ pull }, { highWaterMark: 0 })) }
}

/** An answer that breaks off. */
function broken(text: string): Response {
  const start = (controller: ReadableStreamDefaultController<Uint8Array>) => controller.enqueue(Buffer.from(text))
  const pull = (controller: ReadableStreamDefaultController<Uint8Array>) => controller.error(new TypeError('ended'))
  return new Response(new ReadableStream({ start, pull }, { highWaterMark: 0 }))
}

describe('a node that lies about what it sees', () => {
  const analyze = () => team.ask('POST', '/analyze', form({ file: PNG, model_name: 'llava:7b' }))
  const detect = () => team.ask('POST', '/detect-objects', form({ file: PNG, model_name: 'llava:7b' }))

  it.each<[what: string, script: Script, status: number]>([
    ['a page of HTML', { html: '<h1>Welcome</h1>' }, 502],
    ['nothing that was asked for', { answer: {} }, 502],
    ['a list', { answer: [] }, 502],
    ['an answer that is not done', whole({ done: false }), 502],
    ['an answer without a message', whole({ message: null }), 502],
    ['a 200 with an error inside', { answer: { error: 'CUDA error: out of memory' } }, 502],
    ['that it has no memory', { refuse: { status: 500, message: 'cudaMalloc failed: out of memory' } }, 502],
    ['that it has no such model', { refuse: { status: 404, message: 'model "llava:7b" not found' } }, 404],
    ['that it has enough to do', { refuse: { status: 503, message: 'server busy' } }, 502],
    ['that nobody is there', { refuse: { status: 530, message: 'error code: 1033' } }, 502],
  ])('is an error, and written down as one: %s', async (_what, script, status) => {
    world.node.script({ 'ollama POST /api/chat': script })
    for (const answer of [await analyze(), await detect()]) {
      expect([answer.status, answer.body.result, answer.body.objects]).toEqual([status, undefined, undefined])
      expect(answer.text).not.toMatch(/internal|Welcome/)
    }
    const runs = (await world.runs(team.orgId)).slice(-2)
    expect(runs.map(({ ok, error_code: code }) => [ok, code === 'internal'])).toEqual(Array(2).fill([false, false]))
  })

  it('is an error where it breaks off', async () => {
    world.pages.set(`${world.node.url}/api/chat`, () => broken('{"model":"llava:7b","message":{"role":"assistant",'))
    expect([(await analyze()).status, (await detect()).status]).toEqual([502, 502])
  })

  it('is not listened to for ever', async () => {
    for (const text of [' ', '{"message":{"content":"', `${JSON.stringify({ message, done: false })}\n`]) {
      const { taken, response } = endless(text)
      world.pages.set(`${world.node.url}/api/chat`, response)
      world.gateway.heal()
      expect((await analyze()).status).toBe(502)
      expect(taken.bytes).toBeLessThan(40_000_000)
    }
  })

  it('says nothing of objects with boxes of nonsense', async () => {
    const name = 'house'
    const boxes: unknown[] = [
      { x1: 1e308, y1: 0, x2: 1, y2: 1 },
      { x1: 0, y1: 0, x2: null, y2: 1 },
      { x1: 'left', y1: 0, x2: 1, y2: 1 },
      [0, 0, 1, 1],
      undefined,
    ]
    for (const box of boxes) {
      world.gateway.heal()
      const content = JSON.stringify({ objects: [{ name, box, confidence: 0.5 }] })
      world.node.script({ 'ollama POST /api/chat': whole({ message: { role: 'assistant', content } }) })
      const { status, body } = await detect()
      expect([status, body.code]).toEqual([502, 'model_output_invalid'])
    }
    world.gateway.heal()
    const sure = JSON.stringify({ objects: [{ name, box: { x1: 0, y1: 0, x2: 1, y2: 1 }, confidence: 95 }] })
    world.node.script({ 'ollama POST /api/chat': whole({ message: { role: 'assistant', content: sure } }) })
    expect((await detect()).status).toBe(502)
  })
})

describe('an agent that lies about its vectors', () => {
  const index = () => team.ask('POST', '/images', form({ file: PNG, caption: 'x' }))
  const vector = (embedding: unknown) => ({ answer: { data: [{ index: 0, embedding }] } })

  it.each<[what: string, script: Script]>([
    ['none', vector([])],
    ['of words', vector(['a', 'b'])],
    ['of nothing', vector([null, 1])],
    ['of zeros', vector([0, 0, 0, 0])],
    ['of figures that no float has', vector([1e300, 1, 2, 3])],
    ['of more dimensions than can be searched', vector(Array(20_000).fill(0.5))],
    ['two for one', { answer: { data: [{ embedding: [1] }, { embedding: [2] }] } }],
    ['HTML', { html: '<h1>Welcome</h1>' }],
  ])('leaves nothing behind: %s', async (_what, script) => {
    world.node.script({ 'agent POST /v1/embeddings': script })
    const { status, text } = await index()
    expect([status, text]).toEqual([502, expect.not.stringMatching(/internal|Welcome/)])
    const [kept] = (await world.postgres.pool.query('select count(*)::int as n from images')).rows
    expect(kept).toEqual({ n: 0 })
  })

  it('leaves nothing behind: half an answer', async () => {
    const half = '{"data": [{"index": 0, "embedding": [0.1,'
    world.pages.set(`${world.node.agentUrl}/v1/embeddings`, () => broken(half))
    const { status, body } = await index()
    expect([status, body.code, body.fault]).toEqual([502, 'provider_error', 'bad_output'])
  })

  it('whose vectors change their length finds nothing, and breaks nothing', async () => {
    world.node.script({ 'agent POST /v1/embeddings': [vector([1, 0, 0]), vector([1, 0])] })
    expect((await index()).status).toBe(201)
    const { status, body } = await team.ask('POST', '/search', { search_prompt: 'a house' })
    expect([status, body.code]).toEqual([502, 'model_output_invalid'])
  })
})
