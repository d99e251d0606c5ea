import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createLedgers } from '../../../src/adapters/ledger.ts'
import type { OrgLedger } from '../../../src/core/ledger.ts'
import { createMemory } from '../../../src/core/memory.ts'
import type { ChatMessage } from '../../../src/core/models.ts'
import { remember, remembered } from '../../../src/features/signatures/memory.ts'
import { lookUp } from '../../../src/features/signatures/recall.ts'
import { memoryLedger } from '../../support/gateway-ledger.ts'
import { ask, type Message, plain, type Signer, signers, withResults } from './loop.ts'
import { type Isolate, startWorld, type World } from './world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world?.close())
beforeEach(() => {
  world.redis.forget('org_1:signed:')
  world.whenSent(() => undefined)
})

const user = (content: string): Message[] => [{ role: 'user', content }]
const signerOf = (model: string): Signer => {
  const signer = signers.find((one) => one.model === model)
  if (!signer) throw new Error(`nobody tests ${model}`)
  return signer
}
const sonnet = signerOf('anthropic/claude-sonnet-4-6')
const gemini = signerOf('gemini/gemini-3-flash-preview')
const events = ({ log }: Isolate) => log.map(({ event }) => event).filter((event) => event.startsWith('signatures_'))

/** A conversation up to the results of its first calls. */
async function begun({ client }: Isolate, { model, asking }: Signer, steps = 2): Promise<Message[]> {
  const messages = user(asking(steps))
  return withResults(messages, await ask({ client, stream: false, model, messages }))
}

describe('a text that Gemini has signed', () => {
  it.each([false, true])('is signed when it comes back (streamed: %s)', async (stream) => {
    const { client } = await world.isolate()
    const { client: other } = await world.isolate()
    const { model } = gemini
    const messages = user('How are you?')
    const said = await ask({ client, stream, model, messages })
    const history = [...messages, plain(said)]
    await ask({ client: other, stream, model, messages: [...history, ...user('Really?')] })
    expect(gemini.signed(world)).toBe(1)
    await ask({ client, stream, model, messages: [...user('And you?'), plain(said), ...user('Really?')] })
    expect(gemini.signed(world)).toBe(0)
  })
})

describe('what a client keeps by itself', () => {
  it('is sent as it is, and nothing is looked up', async () => {
    const isolate = await world.isolate()
    const other = await world.isolate()
    const messages = user(sonnet.asking(2))
    const said = await ask({ ...isolate, stream: false, model: sonnet.model, messages })
    const history = withResults(messages, said).map((message) => (message.role === 'assistant' ? said : message))
    await ask({ ...other, stream: false, model: sonnet.model, messages: history })
    expect(sonnet.signed(world)).toBe(1)
    // The second step's own, of which it is told: nothing of the first had to be.
    expect(other.memory.signatures.size).toBe(1)
  })

  it('in the words of its vendor needs no keeping', async () => {
    const isolate = await world.isolate()
    const body = { model: sonnet.model, max_tokens: 2000, tools: [{ name: 'look', input_schema: { type: 'object' } }] }
    const response = await isolate.call('/v1/messages', { ...body, messages: user(sonnet.asking(2)) })
    expect(await response.json()).toMatchObject({ content: [{ type: 'thinking' }, {}, {}, {}] })
    expect(isolate.memory.signatures.size).toBe(0)
  })
})

describe('a client of Anthropic that loses what it does not know', () => {
  it('runs tools of Gemini with their signatures', async () => {
    const [isolate, other] = [await world.isolate(), await world.isolate()]
    const body = { model: gemini.model, max_tokens: 2000, tools: [{ name: 'look', input_schema: { type: 'object' } }] }
    const response = await isolate.call('/v1/messages', { ...body, messages: user(gemini.asking(2)) })
    const { content } = (await response.json()) as { content: { type: string; id?: string; extra_content?: unknown }[] }
    const blocks = content.filter(({ type }) => type === 'tool_use').map(({ extra_content, ...block }) => block)
    expect(blocks).toHaveLength(2)
    const results = blocks.map(({ id }) => ({ type: 'tool_result', tool_use_id: id, content: 'Seen.' }))
    const messages = [
      ...user(gemini.asking(2)),
      { role: 'assistant', content: blocks },
      { role: 'user', content: results },
    ]
    expect((await other.call('/v1/messages', { ...body, messages })).status).toBe(200)
    expect(gemini.signed(world)).toBe(1)
  })
})

describe.each(signers)('what was signed by $name', (signer) => {
  it('is not shown to another model', async () => {
    const isolate = await world.isolate()
    const messages = await begun(isolate, signer)
    const errors = signer.vendor(world).signatureErrors()
    const model = signer === gemini ? 'gemini/gemini-3.1-pro-preview' : 'anthropic/claude-opus-4-5'
    await ask({ ...isolate, stream: false, model, messages })
    expect(signer.signed(world)).toBe(0)
    expect(signer.vendor(world).signatureErrors()).toBe(errors)
  })

  it('is missing, and the call goes on, when it was tampered with', async () => {
    const [isolate, other] = [await world.isolate(), await world.isolate()]
    const messages = await begun(isolate, signer)
    const [key = ''] = isolate.memory.signatures.keys()
    const sealed = world.redis.text(key) ?? ''
    expect(sealed).toMatch(/^v1\.1\./)
    const last = sealed.at(-2) === 'A' ? 'B' : 'A'
    await world.redis.pipeline([['SETPX', key, `${sealed.slice(0, -2)}${last}${sealed.at(-1)}`, 60_000]])
    await ask({ ...other, stream: false, model: signer.model, messages })
    expect(signer.signed(world)).toBe(0)
  })

  it('opens at its own place alone', async () => {
    const [isolate, other] = [await world.isolate(), await world.isolate()]
    await begun(isolate, signer)
    const [key = ''] = isolate.memory.signatures.keys()
    const messages = [
      ...user(signer.asking(2)),
      {
        role: 'assistant' as const,
        tool_calls: [{ id: 'toolu_other', type: 'function' as const, function: { name: 'look', arguments: '{}' } }],
      },
      { role: 'tool' as const, tool_call_id: 'toolu_other', content: 'Seen.' },
    ]
    const world2 = { memory: createMemory(), now: Date.now }
    const { keys } = await lookUp(world2, { orgId: 'org_1', messages: messages as ChatMessage[], texts: false })
    await world.redis.pipeline([['SETPX', keys[0] ?? '', world.redis.text(key) ?? '', 60_000]])
    await ask({ ...other, stream: false, model: signer.model, messages })
    expect(signer.signed(world)).toBe(0)
  })
})

describe('without the stores', () => {
  const noDatabase = () => Promise.reject(new Error('away'))

  it('an isolate that can seal nothing goes by its own memory', async () => {
    const isolate = await world.isolate({
      deps: { memory: createMemory(), db: { query: noDatabase, atomically: noDatabase } },
    })
    const messages = await begun(isolate, sonnet)
    await expect.poll(() => events(isolate)).toEqual(['signatures_not_kept'])
    await ask({ ...isolate, stream: true, model: sonnet.model, messages })
    expect(sonnet.signed(world)).toBe(1)
  })

  it('an isolate that can open nothing goes on without', async () => {
    const messages = await begun(await world.isolate(), sonnet)
    const memory = createMemory()
    const other = await world.isolate({ deps: { memory, db: { query: noDatabase, atomically: noDatabase } } })
    await ask({ ...other, stream: false, model: sonnet.model, messages })
    expect(sonnet.signed(world)).toBe(0)
    await expect.poll(() => events(other)).toContain('signatures_not_opened')
  })

  it.each([false, true])(
    'an answer waits no longer than a second for a Redis that hangs (streamed: %s)',
    async (stream) => {
      const hanging = { ...world.redis, pipeline: () => new Promise<never>(() => undefined) }
      const isolate = await world.isolate({ deps: { redis: hanging } })
      const messages = user(sonnet.asking(1))
      const said = await ask({ ...isolate, stream, model: sonnet.model, messages })
      expect(said.tool_calls).toHaveLength(2)
      await ask({ ...isolate, stream: false, model: sonnet.model, messages: withResults(messages, said) })
      expect(sonnet.signed(world)).toBe(1)
    },
  )
})

describe('the size of what is kept', () => {
  it('is bounded for a message, and told where it is more', async () => {
    const isolate = await world.isolate()
    const call = { name: 'look', input: {} }
    const messages = user(`fake:${JSON.stringify({ loop: 2, think: 'x'.repeat(66_000), calls: [call] })}`)
    const said = await ask({ ...isolate, stream: false, model: sonnet.model, messages })
    expect(events(isolate)).toEqual(['signatures_too_large'])
    await ask({ ...isolate, stream: false, model: sonnet.model, messages: withResults(messages, said) })
    expect(sonnet.signed(world)).toBe(0)
  })

  it('is bounded in memory, by bytes and by number, and the oldest goes first', () => {
    const isolate = { memory: createMemory(), now: () => 0 }
    for (let at = 0; at < 200; at++) remember(isolate, `key ${at}`, { text: '', bytes: 50_000 })
    expect(isolate.memory.signatures.size).toBe(160)
    expect(remembered(isolate, 'key 39')).toBeUndefined()
    expect(remembered(isolate, 'key 40')).toBeDefined()
    for (let at = 0; at < 5000; at++) remember(isolate, `small ${at}`, { text: '', bytes: 1 })
    expect(isolate.memory.signatures.size).toBe(4000)
  })

  it('is forgotten in memory after an hour, so that Redis is asked again and keeps it', () => {
    let nowMs = 0
    const isolate = { memory: createMemory(), now: () => nowMs }
    remember(isolate, 'key', { text: '', bytes: 1 })
    nowMs = 3_599_999
    expect(remembered(isolate, 'key')).toBeDefined()
    nowMs = 3_600_000
    expect(remembered(isolate, 'key')).toBeUndefined()
    expect(isolate.memory.signatures.size).toBe(0)
  })

  it.each([
    [0, 0],
    [128, 128],
    [129, 97],
    [160, 128],
    [161, 97],
  ])('is looked up for the end of a conversation of %i steps alone (%i)', async (steps, looked) => {
    const messages = Array.from({ length: steps }, (_, at): ChatMessage[] => [
      { role: 'assistant', tool_calls: [{ id: `call_${at}`, function: { name: 'look', arguments: '{}' } }] },
      { role: 'tool', tool_call_id: `call_${at}`, content: 'Seen.' },
    ]).flat()
    const isolate = { memory: createMemory(), now: () => 0 }
    const { keys } = await lookUp(isolate, { orgId: 'org_1', messages, texts: false })
    expect(keys).toHaveLength(looked)
    const [newest] = (await lookUp(isolate, { orgId: 'org_1', messages: messages.slice(-2), texts: false })).keys
    expect(keys[0]).toBe(newest)
  })
})

describe('under a hard budget', () => {
  const policy = { budgets: [{ id: 'bud_1', window: 'total' as const, limitNanoUsd: 1_000_000_000_000 }] }

  it('a call holds for what comes back to it, whether it was known before or Redis told it', async () => {
    const [knowing, told] = [await world.isolate({ policy }), await world.isolate({ policy })]
    const messages = await begun(knowing, sonnet)
    const heldBy = async ({ client, ledger }: Isolate) => {
      let held = 0
      world.whenSent(() => {
        held = ledger.heldNanoUsd()
      })
      await ask({ client, stream: false, model: sonnet.model, messages })
      expect(sonnet.signed(world)).toBe(1)
      return { held, extensions: ledger.calls().extend }
    }
    const known = await heldBy(knowing)
    expect(known.extensions).toBe(0)
    expect(await heldBy(told)).toEqual({ held: known.held, extensions: 1 })
    const { client, ledger } = await world.isolate({ policy })
    world.whenSent(() => expect(ledger.heldNanoUsd()).toBeLessThan(known.held))
    await ask({ client, stream: false, model: sonnet.model, messages: user('Hi') })
  })

  it('a call goes on without what the budget has no room for', async () => {
    const messages = await begun(await world.isolate({ policy }), sonnet)
    const ledger = memoryLedger()
    const ledgerOf = (): OrgLedger => ({
      ...createLedgers(ledger, Date.now)('org_1'),
      extend: async () => ({ ok: false, budgetId: 'bud_1', remainingNanoUsd: 0 }),
    })
    const { client } = await world.isolate({ policy, deps: { ledgerOf } })
    const said = await ask({ client, stream: false, model: sonnet.model, messages })
    expect(said.tool_calls).toHaveLength(2)
    expect(sonnet.signed(world)).toBe(0)
  })
})
