import { describe, expect, it } from 'vitest'
import type { RoutingPolicy } from '../../../src/core/routing.ts'
import { readClient } from '../../support/client-events.ts'
import {
  type CachingGateway,
  chunk,
  completion,
  exact,
  hello,
  type Surface,
  said,
  start,
  streamOf,
  surfaces,
  usage,
  vendors,
} from './cache-world.ts'

const forms = [
  ['whole', 'whole'],
  ['whole', 'streamed'],
  ['streamed', 'whole'],
  ['streamed', 'streamed'],
] as const
const all = (Object.keys(surfaces) as Surface[]).flatMap((surface) => forms.map((form) => [surface, ...form] as const))

const ask = (gateway: CachingGateway, surface: Surface, fields: object = {}) =>
  gateway.call(surfaces[surface].path, { ...surfaces[surface].body, ...fields })
const chat = (gateway: CachingGateway, fields: object = {}, helix: object = exact) =>
  gateway.chat({ model: 'gpt-4o', messages: hello, helix, ...fields })
const asForm = (form: 'whole' | 'streamed') => ({ stream: form === 'streamed' })
const cacheOf = (response: Response) => response.headers.get('x-helix-cache')

/** What the cache said to each of these calls, one after the other. */
async function outcomes(gateway: CachingGateway, calls: readonly (() => Promise<Response>)[]) {
  const told: (string | null)[] = []
  for (const call of calls) {
    const response = await call()
    told.push(cacheOf(response))
    await response.text()
    await gateway.rows()
  }
  return told
}

describe('an answer that is asked for again', () => {
  it.each(all)('(%s, %s and then %s) is told without any vendor', async (surface, first, second) => {
    const gateway = await start()
    const missed = await ask(gateway, surface, asForm(first))
    expect(cacheOf(missed)).toBe('miss')
    expect(await said(surface, missed)).toBe('Hello there.')
    await gateway.rows()
    const hit = await ask(gateway, surface, asForm(second))
    expect(hit.status).toBe(200)
    expect(Object.fromEntries(hit.headers)).toMatchObject({
      'x-helix-cache': 'exact',
      'x-helix-cache-key': missed.headers.get('x-helix-cache-key'),
      'x-helix-provider': 'openai',
      'x-helix-model': 'gpt-4o',
      'x-helix-attempts': '0',
      ...(second === 'whole' && { 'x-helix-cost-usd': '0' }),
    })
    expect(await said(surface, hit)).toBe('Hello there.')
    expect(gateway.sent).toHaveLength(1)
    const [paid, free] = await gateway.rows()
    expect(paid).toMatchObject({ prompt_tokens: 9, completion_tokens: 4, attempts: 1 })
    expect(paid?.cost_nanos).toBeGreaterThan(0)
    const nothing = { prompt_tokens: 0, completion_tokens: 0, cost_nanos: 0, attempts: 0, estimated: false }
    expect(free).toMatchObject({ ...nothing, status: 'ok', provider: 'openai', stream: second === 'streamed' })
    expect(gateway.ledger.decisions()).toMatchObject([
      { cache: 'miss', chosen: 'openai/gpt-4o' },
      { cache: 'exact', chosen: 'openai/gpt-4o', attempts: [], outcome: 'ok', saved_nanos: paid?.cost_nanos },
    ])
  })

  it('is the same body, with the counts of when it was made and a word that nothing was paid', async () => {
    const gateway = await start()
    await chat(gateway)
    await gateway.rows()
    expect(await (await chat(gateway)).json()).toEqual({ ...completion, helix: { cached: true, cost_usd: 0 } })
  })

  it('says in a stream that nothing was paid, to those who want to know of usage', async () => {
    const gateway = await start()
    await chat(gateway)
    await gateway.rows()
    const streamed = { stream: true, stream_options: { include_usage: true } }
    const { chunks, done } = await readClient(await chat(gateway, streamed))
    expect(done).toBe(true)
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage, helix: { cost_usd: 0, cached: true } })
    expect(chunks.at(-2)?.choices).toEqual([{ index: 0, delta: {}, finish_reason: 'stop' }])
    const quiet = await readClient(await chat(gateway, { stream: true }))
    expect(quiet.chunks.every((one) => !one.usage && !one.helix)).toBe(true)
  })

  it.each(forms)('(in the words of Anthropic, %s and then %s) is told in these words', async (first, second) => {
    const gateway = await start()
    const fields = { model: 'anthropic/claude-sonnet-4-5' }
    expect(await said('messages', await ask(gateway, 'messages', { ...fields, ...asForm(first) }))).toBe('Bonjour.')
    await gateway.rows()
    const hit = await ask(gateway, 'messages', { ...fields, ...asForm(second) })
    expect(cacheOf(hit)).toBe('exact')
    const text = await hit.text()
    expect(text).toContain('"Bonjour."')
    expect(text).toContain('"cached":true')
    expect(text).toContain('"stop_reason":"end_turn"')
    expect(gateway.sent).toHaveLength(1)
  })

  it('is the same for a chat, a text and a response that ask the same, in whatever order', async () => {
    const gateway = await start()
    const order = [
      () => ask(gateway, 'responses'),
      () => ask(gateway, 'text'),
      () => chat(gateway, { user: 'u', metadata: { a: 'b' }, temperature: null }),
      () => gateway.chat({ helix: { cache: { scope: 'key', mode: 'exact' } }, messages: hello, model: 'gpt-4o' }),
    ]
    expect(await outcomes(gateway, order)).toEqual(['miss', 'exact', 'exact', 'exact'])
  })

  it.each([
    ['another model', { model: 'gpt-4o-mini' }],
    ['another word', { messages: [{ role: 'user', content: 'Hi!' }] }],
    ['another temperature', { temperature: 0.2 }],
    ['another seed', { seed: 1 }],
    ['more choices', { n: 2 }],
    ['a tool', { tools: [{ type: 'function', function: { name: 'f', parameters: {} } }] }],
    ['another provider', { helix: { ...exact, provider: 'openai' } }],
    ['another scope', { helix: { cache: { mode: 'exact', scope: 'org' } } }],
    ['fallbacks', { helix: { ...exact, fallback_models: ['gpt-4o-mini'] } }],
  ])('is another question with %s', async (_what, fields) => {
    const gateway = await start()
    expect(await outcomes(gateway, [() => chat(gateway), () => chat(gateway, fields)])).toEqual(['miss', 'miss'])
    expect(gateway.sent).toHaveLength(2)
  })
})

const answering = (choice: object) => () => Response.json({ ...completion, choices: [{ index: 0, ...choice }] })
const saying = { role: 'assistant', content: 'Hello' }
const call = { id: 'call_1', type: 'function', function: { name: 'f', arguments: '{}' } }

describe('an answer that is not kept', () => {
  it.each([
    ['cut off', answering({ message: saying, finish_reason: 'length' })],
    ['filtered', answering({ message: saying, finish_reason: 'content_filter' })],
    ['a call of a tool', answering({ message: { ...saying, tool_calls: [call] }, finish_reason: 'tool_calls' })],
    [
      'a call of a tool that says stop',
      answering({ message: { ...saying, tool_calls: [call] }, finish_reason: 'stop' }),
    ],
    ['a refusal', answering({ message: { ...saying, refusal: 'No.' }, finish_reason: 'stop' })],
    ['empty', answering({ message: { ...saying, content: '' }, finish_reason: 'stop' })],
    ['longer than a megabyte', answering({ message: { ...saying, content: 'x'.repeat(1e6) }, finish_reason: 'stop' })],
    ['an error', () => Response.json({ error: { message: 'no' } }, { status: 400 })],
    ['cut off in mid-stream', () => streamOf([chunk({ content: 'Hel' })])],
    ['a stream without an end', () => streamOf([chunk({ content: 'Hel' }), 'data: [DONE]'])],
    ['a stream that calls', () => streamOf([chunk({ tool_calls: [{ index: 0, ...call }] }), chunk({}, 'tool_calls')])],
  ])('is %s', async (what, answer) => {
    const gateway = await start({ upstream: answer })
    const fields = { stream: /stream/.test(what) }
    const again = () => chat(gateway, fields)
    expect(await outcomes(gateway, [again, again])).not.toContain('exact')
    expect(gateway.sent.length).toBeGreaterThanOrEqual(2)
    expect(gateway.memory.answers.size).toBe(0)
  })

  it.each([
    ['has stopped at a word that only Anthropic’s wire tells', { stop_reason: 'stop_sequence', stop_sequence: 'x' }],
    ['cites what only Anthropic’s wire tells', { content: [{ type: 'text', text: 'Hi', citations: [citation()] }] }],
  ])('%s', async (_what, told) => {
    const gateway = await start()
    gateway.upstream(async (sent) => Response.json({ ...JSON.parse(await vendors(sent).text()), ...told }))
    const again = () => ask(gateway, 'messages', { model: 'anthropic/claude-sonnet-4-5' })
    expect(await outcomes(gateway, [again, again])).toEqual(['miss', 'miss'])
  })

  it.each([
    ['it says no_store', {}, { cache: { mode: 'exact', no_store: true } }],
    ['it is warm', { temperature: 0.9 }, exact],
    ['it tells what a tool did', { messages: [...hello, { role: 'tool', tool_call_id: 'a', content: '4' }] }, exact],
    ['its vendor looks things up', { tools: [{ type: 'web_search' }] }, exact],
    ['its vendor looks things up by a field', { web_search_options: {} }, exact],
  ])('belongs to a call that goes past the cache: %s', async (_why, fields, helix) => {
    const gateway = await start()
    const again = () => chat(gateway, fields, helix)
    expect(await outcomes(gateway, [again, again])).toEqual(['bypass', 'bypass'])
    expect(gateway.memory.answers.size).toBe(0)
    expect(gateway.ledger.decisions()).toMatchObject([{ cache: 'off' }, { cache: 'off' }])
  })

  it('belongs to a call that did not ask for it, and costs that nothing', async () => {
    const gateway = await start()
    await (await chat(gateway, {}, {})).text()
    await gateway.rows()
    const before = gateway.redis.requests()
    const response = await chat(gateway, {}, {})
    expect(cacheOf(response)).toBeNull()
    expect(response.headers.get('x-helix-cache-key')).toBeNull()
    await gateway.rows()
    expect(gateway.redis.requests() - before).toBe(1)
  })
})

function citation() {
  return { type: 'char_location', cited_text: 'Hi', document_index: 0, start_char_index: 0, end_char_index: 2 }
}

describe('a routing policy', () => {
  const routing = (cache: RoutingPolicy['cache']) => ({
    policy: {
      userId: 'usr_1',
      routing: { id: 'rpl_1', version: 1, strategy: 'priority' as const, targets: [], fallbacks: {}, cache },
    },
  })

  it('has the cool calls of its callers kept, and lets a call opt out', async () => {
    const gateway = await start(routing({ mode: 'exact' }))
    const cool = { temperature: 0 }
    const calls = [
      () => chat(gateway, cool, {}),
      () => chat(gateway, cool, {}),
      () => chat(gateway, {}, {}),
      () => chat(gateway, cool, { cache: { mode: 'off' } }),
    ]
    expect(await outcomes(gateway, calls)).toEqual(['miss', 'exact', 'bypass', null])
  })

  it('is not asked where a call asks itself', async () => {
    const gateway = await start(routing({ mode: 'off' }))
    expect(await outcomes(gateway, [() => chat(gateway), () => chat(gateway)])).toEqual(['miss', 'exact'])
  })
})

describe('a hit', () => {
  it('costs one Redis request, and a miss one more', async () => {
    const gateway = await start()
    await outcomes(gateway, [() => chat(gateway, { seed: 1 })])
    const before = gateway.redis.requests()
    await outcomes(gateway, [() => chat(gateway)])
    expect(gateway.redis.requests() - before).toBe(2)
    await outcomes(gateway, [() => chat(gateway)])
    expect(gateway.redis.requests() - before).toBe(3)
  })

  it('gives back what was held for the call', async () => {
    const budget = { id: 'bud_1', window: 'total' as const, limitNanoUsd: 1_000_000_000 }
    const gateway = await start({ policy: { budgets: [budget] } })
    await outcomes(gateway, [() => chat(gateway), () => chat(gateway)])
    expect([gateway.ledger.calls().hold, gateway.ledger.settlements()]).toEqual([2, 2])
    expect(gateway.ledger.heldNanoUsd()).toBe(0)
  })

  it('is refused like any call that cannot be held', async () => {
    const budget = { id: 'bud_1', window: 'total' as const, limitNanoUsd: 1_000_000_000 }
    const gateway = await start({ policy: { budgets: [budget] } })
    await outcomes(gateway, [() => chat(gateway)])
    gateway.ledger.away(true)
    expect((await chat(gateway)).status).toBe(503)
  })

  it('is none where the caller could not have asked the target that answered', async () => {
    const gateway = await start()
    await outcomes(gateway, [() => chat(gateway)])
    for (const [key, copy] of gateway.memory.answers) {
      gateway.memory.answers.set(key, { ...copy, text: copy.text.replace('openai/gpt-4o', 'openai/gone') })
    }
    expect(await outcomes(gateway, [() => chat(gateway)])).toEqual(['miss'])
  })

  it('is none where the target that answered is out of use', async () => {
    const gateway = await start({ policy: { marks: [{ model: 'gpt-4.1', reason: 'broken' }] } })
    const call = () => chat(gateway, {}, { ...exact, fallback_models: ['gpt-4.1'] })
    expect(await outcomes(gateway, [call, call])).toEqual(['miss', 'exact'])
    for (const [key, copy] of gateway.memory.answers) {
      gateway.memory.answers.set(key, { ...copy, text: copy.text.replace('openai/gpt-4o', 'openai/gpt-4.1') })
    }
    expect(await outcomes(gateway, [call])).toEqual(['miss'])
  })

  it('that its caller leaves is booked as such', async () => {
    const gateway = await start()
    await outcomes(gateway, [() => chat(gateway)])
    const response = await chat(gateway, { stream: true })
    await response.body?.cancel()
    const [, left] = await gateway.rows()
    expect(left).toMatchObject({ status: 'aborted', cost_nanos: 0 })
  })
})

describe('without Redis', () => {
  it('an isolate answers from its own copy, and everybody else is answered by the vendor', async () => {
    const gateway = await start()
    await outcomes(gateway, [() => chat(gateway)])
    gateway.redis.away(true)
    expect(await outcomes(gateway, [() => chat(gateway), () => chat(gateway, { seed: 1 })])).toEqual(['exact', 'miss'])
    expect(gateway.sent).toHaveLength(2)
  })

  it('nothing is kept, and nobody gets an error for it', async () => {
    const gateway = await start()
    await outcomes(gateway, [() => chat(gateway, { seed: 1 })])
    gateway.upstream((sent) => {
      gateway.redis.away(true)
      return vendors(sent)
    })
    expect(await outcomes(gateway, [() => chat(gateway)])).toEqual(['miss'])
    gateway.redis.away(false)
    expect(await outcomes(gateway, [() => chat(gateway)])).toEqual(['miss'])
    expect(gateway.log.map(({ event }) => event)).toContain('answer_not_kept')
  })
})

describe('the options of the cache', () => {
  it.each([
    [{ mode: 'semantic' }, 'not available yet'],
    [{ mode: 'exact', threshold: 0.9 }, 'threshold'],
    [{ mode: 'exact', ttl_seconds: 86_401 }, 'ttl_seconds'],
  ])('%j are refused with a word on it', async (cache, word) => {
    const gateway = await start()
    const response = await chat(gateway, {}, { cache })
    expect(response.status).toBe(400)
    expect(await response.text()).toContain(word)
  })
})
