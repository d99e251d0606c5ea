import fc from 'fast-check'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import type { OutboundRequest } from '../../src/core/outbound.ts'
import { count } from '../support/lane.ts'
import { type Conversation, conversation, toldOf, writers } from './conversation.ts'
import { scribes } from './fixtures/scribes.ts'
import type { Pair } from './replay.ts'
import { surfaces } from './surfaces/all.ts'
import { wires } from './truth.ts'
import { turnsOf, vendorReaders } from './vendor-readers.ts'
import { models, startWorld, type World } from './world.ts'

const seed = 20_261_121
const numRuns = count(5, 150)

/** Each test is hundreds of calls, and the machine may be busy. */
vi.setConfig({ testTimeout: 180_000 })

let world: World

beforeAll(async () => {
  world = await startWorld()
})

const answer = { name: 'x', said: [{ kind: 'text', text: 'Hello.' }], end: 'stop', counts: undefined } as const

type Body = Record<string, unknown>

async function sentFor({ surface, wire }: Pair, body: object, init?: RequestInit): Promise<OutboundRequest> {
  world.sent.length = 0
  const whole = { model: models[wire], ...body }
  const response = await world.ask(surface, whole, () => Response.json(scribes[wire].whole(answer)), init)
  if (response.status !== 200) throw new Error(`refused: ${await response.text()}`)
  await response.text()
  const [sent] = world.sent
  if (!sent || world.sent.length > 1) throw new Error('not one request')
  return sent
}

const pairs = surfaces.flatMap((surface) => wires.map((wire) => ({ surface, wire, name: surface.name })))

const conversing = pairs.flatMap((pair) => {
  const write = writers[pair.surface.name]
  return write ? [{ ...pair, write }] : []
})

describe.each(conversing)('$name over $wire', ({ write, ...pair }) => {
  const { wire } = pair
  const bodyFor = async (given: Conversation): Promise<Body> =>
    // Bytes, where a picture is sent to a node.
    new Response((await sentFor(pair, write(given))).body ?? null).json()

  it('is understood by its vendor as its client meant it', async () => {
    await fc.assert(
      fc.asyncProperty(conversation, async (given) => {
        expect(vendorReaders[wire](await bodyFor(given))).toEqual(toldOf(given))
      }),
      { seed, numRuns },
    )
  })

  it('says the same each time, and begins a longer conversation with the shorter', async () => {
    await fc.assert(
      fc.asyncProperty(conversation, async (given) => {
        const longer = await bodyFor(given)
        expect(JSON.stringify(await bodyFor(given))).toBe(JSON.stringify(longer))
        const last = given.exchanges.at(-1)
        const before = { ...given, exchanges: given.exchanges.slice(0, -1), asked: last?.asked }
        // What is asked last may get an image when it is told once more.
        expectPrefix(await bodyFor(before), longer, 1)
        expectPrefix(await bodyFor({ ...given, asked: undefined }), longer, 0)
      }),
      { seed, numRuns },
    )
  })

  function expectPrefix(shorter: Body, longer: Body, without: number): void {
    const [all, part] = [turnsOf[wire](longer), turnsOf[wire](shorter)]
    expect(JSON.stringify(part.before)).toBe(JSON.stringify(all.before))
    const common = part.turns.length - without
    expect(JSON.stringify(all.turns.slice(0, common))).toBe(JSON.stringify(part.turns.slice(0, common)))
  }
})

describe.each(pairs)('$name over $wire', (pair) => {
  const { surface, wire } = pair

  it('takes along none of the headers of its caller', async () => {
    const headers = {
      cookie: 'a=b',
      'openai-organization': 'org-of-the-caller',
      'openai-beta': 'assistants=v2',
      'x-goog-user-project': 'project-of-the-caller',
      'x-stainless-lang': 'js',
      'x-forwarded-for': '192.0.2.1',
      'user-agent': 'client/1.0',
      'idempotency-key': 'k1',
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    }
    const sent = await sentFor(pair, surface.request(models[wire]), { headers })
    const own = { openai: 'authorization', anthropic: 'x-api-key', gemini: 'x-goog-api-key', ollama: 'authorization' }
    const version = wire === 'anthropic' ? ['anthropic-version'] : []
    expect(Object.keys(sent.headers ?? {}).sort()).toEqual(['accept', 'content-type', own[wire], ...version].sort())
  })
})
