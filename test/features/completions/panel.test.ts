import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import type { Policy } from '../../../src/core/admission.ts'
import { errorIn } from '../../support/client-error.ts'
import { idleGate, type Sent, startGateway, type TestGateway } from '../../support/gateway.ts'

type Said = { text: string; usage?: [number, number]; logprobs?: number; finish?: string }

const Member = z.looseObject({ provider: z.string(), model: z.string(), confidence: z.number().nullable() })
const Answer = z.looseObject({
  ensemble: z
    .looseObject({ members: z.array(Member), responses_count: z.int(), sources: z.array(z.string()).optional() })
    .optional(),
})
const ensembleIn = async (response: Response) => Answer.parse(await response.json()).ensemble

const members = ['openai/gpt-4o', 'mistral/mistral-large-latest', 'deepseek/deepseek-chat']
const messages = [{ role: 'user', content: 'What is six times seven?' }]

/** An answer in one piece. */
function whole({ text, usage = [10, 5], logprobs, finish = 'stop' }: Said): Response {
  const told = logprobs === undefined ? {} : { logprobs: { content: [{ logprob: Math.log(logprobs) }] } }
  const choices = [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: finish, ...told }]
  const [prompt_tokens, completion_tokens] = usage
  const counts = { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens }
  return Response.json({ id: 'chatcmpl-1', object: 'chat.completion', created: 1, model: 'm', choices, usage: counts })
}

/** The same as a stream, one chunk a word. */
function streamed({ text, usage = [10, 5] }: Said): Response {
  const head = { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'm' }
  const words = text.split(/(?<= )/).map((content) => ({ index: 0, delta: { content }, finish_reason: null }))
  const choices = [...words, { index: 0, delta: {}, finish_reason: 'stop' }]
  const [prompt_tokens, completion_tokens] = usage
  const counts = { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens }
  const chunks = [...choices.map((choice) => ({ ...head, choices: [choice] })), { ...head, choices: [], usage: counts }]
  const body = `${chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join('')}data: [DONE]\n\n`
  return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
}

const byVendor =
  (said: Record<string, Said | (() => Response | Promise<Response>)>) =>
  ({ to, body }: Sent): Response | Promise<Response> => {
    const answer = said[to] ?? { text: `Nothing from ${to}` }
    if (typeof answer === 'function') return answer()
    return body.stream === true ? streamed(answer) : whole(answer)
  }

const vendors = ['openai', 'mistral', 'deepseek', 'groq']
const start = (upstream: (sent: Sent) => Response | Promise<Response>, policy: Partial<Policy> = {}) =>
  startGateway({ vendors, upstream, policy })

const ask = (gateway: TestGateway, config: object, body: object = {}, init?: RequestInit) =>
  gateway.call('/v1/ensemble/completions', { messages, ensemble_config: { members, ...config }, ...body }, init)

const budgets = [{ id: 'bud_1', window: 'total' as const, limitNanoUsd: 100_000_000_000 }]
const away = () => new Response('{}', { status: 500 })
const refused = () => Response.json({ error: { message: 'No.', code: 'bad' } }, { status: 400 })

/** Scores in the order in which a judge was shown the answers. */
const judging =
  (worth: (text: string) => number) =>
  ({ body }: Sent): Response => {
    const shown = JSON.stringify(body.messages)
    const found = [...shown.matchAll(/<answer number=\\"(\d+)\\">\\n(.*?)\\n<\/answer>/g)]
    const scores = found.map(([, number, text = '']) => {
      const value = worth(text)
      return { answer: Number(number), relevance: value, correctness: value, completeness: value }
    })
    return whole({ text: JSON.stringify({ scores }), usage: [100, 20] })
  }

describe('an ensemble', () => {
  it('answers with the majority, and tells how that came about', async () => {
    const gateway = await start(
      byVendor({ openai: { text: '42' }, mistral: { text: 'It is 41' }, deepseek: { text: ' 42.' } }),
    )
    const response = await ask(gateway, { strategy: 'majority' })
    expect(response.status).toBe(200)
    const answer = await response.json()
    expect(answer).toMatchObject({
      object: 'chat.completion',
      choices: [{ message: { content: '42' } }],
      usage: { prompt_tokens: 30, completion_tokens: 15 },
      ensemble: {
        voting_method: 'majority',
        responses_count: 3,
        scores: { 'openai/gpt-4o': 2 / 3, 'mistral/mistral-large-latest': 1 / 3 },
        selected_provider: 'openai',
        selection_score: 2 / 3,
        metadata: { strategy: 'majority', mode: 'parallel', fallback: null, calls: 3 },
        members: [{ provider: 'openai', model: 'gpt-4o', outcome: 'ok', selected: true }, {}, {}],
      },
    })
    expect(response.headers.get('x-helix-provider')).toBe('openai')
    expect(response.headers.get('x-helix-attempts')).toBe('3')
    expect(gateway.sent.map(({ to }) => to).sort()).toEqual(['deepseek', 'mistral', 'openai'])
  })

  it('falls back to confidence without a majority, and says so', async () => {
    const gateway = await start(
      byVendor({
        openai: { text: 'Rome', logprobs: 0.5 },
        mistral: { text: 'Paris', logprobs: 0.9 },
        deepseek: { text: 'Berlin', logprobs: 0.6 },
      }),
    )
    expect(await (await ask(gateway, { strategy: 'majority' })).json()).toMatchObject({
      choices: [{ message: { content: 'Paris' } }],
      ensemble: { voting_method: 'confidence_weighted', metadata: { strategy: 'majority', fallback: 'no_majority' } },
    })
  })

  it('books every call in a row of its own, the whole last, and leaves nothing held', async () => {
    const held: number[] = []
    const answers = byVendor({ openai: { text: 'a' }, mistral: { text: 'b' }, deepseek: away })
    const gateway: TestGateway = await start(
      (sent) => {
        held.push(gateway.ledger.heldNanoUsd())
        return answers(sent)
      },
      { budgets },
    )
    const response = await ask(gateway, {}, { max_tokens: 100 })
    const requestId = response.headers.get('x-request-id')
    await response.json()
    const rows = await gateway.rows()
    const own = rows.at(-1)
    expect(own).toMatchObject({
      request_id: requestId,
      provider: 'helix',
      model: 'ensemble',
      cost_nanos: 0,
      status: 'ok',
    })
    const parts = rows.slice(0, -1)
    expect(parts.map(({ provider, status }) => `${provider} ${status}`).sort()).toEqual([
      'deepseek error',
      'mistral ok',
      'openai ok',
    ])
    for (const row of parts) {
      expect(row.parent_request_id).toBe(requestId)
      expect(row.request_id).not.toBe(requestId)
    }
    const paid = parts.reduce((sum, row) => sum + row.cost_nanos, 0)
    expect(response.headers.get('x-helix-cost-usd')).toBe(String(paid / 1e9))
    expect(Math.min(...held)).toBeGreaterThanOrEqual(paid)
    expect(new Set(held).size).toBe(1)
    expect(gateway.ledger.calls().hold).toBe(1)
    expect([gateway.ledger.openHolds(), gateway.ledger.heldNanoUsd()]).toEqual([0, 0])
    const [decision] = gateway.ledger.decisions()
    expect(decision).toMatchObject({
      strategy: 'ensemble:confidence_weighted',
      asked_model: 'auto',
      outcome: 'ok',
      ensemble: {
        voting_method: 'confidence_weighted',
        members: [{ outcome: 'ok' }, { outcome: 'ok' }, { outcome: 'status_500' }],
      },
    })
    expect(decision?.chosen).toBe(response.headers.get('x-helix-provider') === 'openai' ? members[0] : members[1])
  })

  it('is refused where its worst case is more than is left', async () => {
    const tight = [{ id: 'bud_1', window: 'total' as const, limitNanoUsd: 1_500_000 }]
    const gateway = await start(byVendor({}), { budgets: tight })
    // A single answer of gpt-4o of a hundred tokens holds about 1,1 million nano-USD.
    expect((await gateway.chat({ model: 'openai/gpt-4o', messages, max_tokens: 100 })).status).toBe(200)
    expect(await errorIn(await ask(gateway, {}, { max_tokens: 100 }))).toMatchObject({ code: 'insufficient_quota' })
    expect(gateway.sent).toHaveLength(1)
  })

  it('asks no more than it takes in a sequence', async () => {
    const gateway = await start(byVendor({ openai: { text: '42' }, mistral: { text: '42' }, deepseek: { text: '7' } }))
    const answer = await (await ask(gateway, { strategy: 'majority', mode: 'sequential' })).json()
    expect(answer).toMatchObject({ ensemble: { voting_method: 'majority', responses_count: 2 } })
    expect(gateway.sent).toHaveLength(2)
  })

  it('as a cascade stops with the first answer that is sure enough', async () => {
    const gateway = await start(byVendor({ openai: { text: 'Sure', logprobs: 0.95 } }))
    const config = { strategy: 'cascade', confidence_threshold: 0.4 }
    const answer = await (await ask(gateway, config)).json()
    expect(answer).toMatchObject({
      choices: [{ message: { content: 'Sure' } }],
      ensemble: { voting_method: 'cascade' },
    })
    expect(gateway.sent).toHaveLength(1)
  })

  it('lets members answer again in a round, with what the others said', async () => {
    const gateway = await start((sent) => {
      const isSecond = Array.isArray(sent.body.messages) && sent.body.messages.length > 1
      return whole({ text: isSecond || sent.to === 'openai' ? '42' : `${sent.to} does not know` })
    })
    const answer = await (await ask(gateway, { strategy: 'round' })).json()
    expect(answer).toMatchObject({
      choices: [{ message: { content: '42' } }],
      ensemble: { voting_method: 'round', metadata: { calls: 6 }, selection_score: 1 },
    })
    const parts = (await gateway.rows()).filter(({ parent_request_id }) => parent_request_id)
    const [decision] = gateway.ledger.decisions()
    const named = decision?.ensemble?.members.map(({ target, calls = [] }) => ({ target, calls: [...calls].sort() }))
    const booked = members.map((target) => {
      const own = parts.filter(({ provider }) => target.startsWith(`${provider}/`))
      return { target, calls: own.map(({ request_id }) => request_id).sort() }
    })
    expect(named).toEqual(booked)
    expect(booked.map(({ calls }) => calls.length)).toEqual([2, 2, 2])
    const second = gateway.sent.filter(({ to }) => to === 'openai')[1]
    expect(JSON.stringify(second?.body.messages)).toContain('mistral does not know')
    expect(JSON.stringify(second?.body.messages)).not.toContain('mistral/')
  })
})

describe('a judge', () => {
  const config = { strategy: 'best_of_n', judge_model: 'groq/llama-3.3-70b-versatile' }

  it('reads the answers twice, and the best one is given', async () => {
    const answers = byVendor({ openai: { text: 'good' }, mistral: { text: 'better' }, deepseek: { text: 'bad' } })
    const worth = (text: string) => ({ good: 0.7, better: 0.9, bad: 0.1 })[text] ?? 0
    const gateway = await start((sent) => (sent.to === 'groq' ? judging(worth)(sent) : answers(sent)))
    const response = await ask(gateway, config)
    expect(await response.json()).toMatchObject({
      choices: [{ message: { content: 'better' } }],
      ensemble: {
        voting_method: 'best_of_n',
        selection_score: expect.closeTo(0.9),
        metadata: { calls: 5 },
        members: [{ quality: expect.closeTo(7) }, { quality: expect.closeTo(9) }, { quality: expect.closeTo(1) }],
      },
    })
    const judged = gateway.sent.filter(({ to }) => to === 'groq')
    expect(judged.map(({ body }) => body.temperature)).toEqual([0.2, 0.2])
    const rows = await gateway.rows()
    expect(rows.filter(({ provider }) => provider === 'groq')).toHaveLength(2)
    expect(rows.filter(({ parent_request_id }) => parent_request_id)).toHaveLength(5)
  })

  it.each([
    [
      { model: 'groq/llama-3.3-70b-versatile' },
      config.judge_model,
      'confidence_weighted',
      ['openai', 'mistral', 'deepseek'],
    ],
    [{ model: 'gpt-4o' }, undefined, 'best_of_n', ['mistral', 'deepseek']],
  ])('who is out of use (%o) is not asked', async (mark, judge_model, voting_method, asked) => {
    const said = byVendor({ openai: { text: 'One' }, mistral: { text: 'Two' }, deepseek: { text: 'Three' } })
    const isJudging = ({ body }: Sent) => JSON.stringify(body.messages).includes('<answer number')
    const gateway = await start((sent) => (isJudging(sent) ? judging(() => 0.5)(sent) : said(sent)), {
      marks: [{ ...mark, reason: 'broken' }],
    })
    const response = await ask(gateway, { strategy: 'best_of_n', ...(judge_model && { judge_model }) })
    expect(await response.json()).toMatchObject({ ensemble: { voting_method } })
    expect(new Set(gateway.sent.map(({ to }) => to))).toEqual(new Set(asked))
  })

  it('who says nothing to the purpose leaves it to confidence', async () => {
    const gateway = await start(byVendor({ groq: { text: 'They are all fine.' } }))
    expect(await (await ask(gateway, config)).json()).toMatchObject({
      ensemble: { voting_method: 'confidence_weighted', metadata: { fallback: 'not_judged' } },
    })
  })

  it.each([
    [0.95, 'merged', 'merge'],
    [0.5, 'good', 'best_of_n'],
  ])('gives a merged answer worth %f as %s', async (worthMerged, content, method) => {
    const answers = byVendor({ openai: { text: 'good' }, mistral: { text: 'bad' }, deepseek: { text: 'bad' } })
    const worth = (text: string) => ({ merged: worthMerged, good: 0.9 })[text] ?? 0.1
    const gateway = await start((sent) => {
      if (sent.to !== 'groq') return answers(sent)
      const isMerge = JSON.stringify(sent.body.messages).includes('sources')
      return isMerge ? whole({ text: '{"answer":"merged","sources":[1,3]}' }) : judging(worth)(sent)
    })
    const answer = Answer.parse(await (await ask(gateway, { ...config, strategy: 'merge' })).json())
    expect(answer).toMatchObject({ choices: [{ message: { content } }], ensemble: { voting_method: method } })
    const sources = method === 'merge' ? [members[0], members[2]] : undefined
    expect(answer.ensemble?.sources).toEqual(sources)
  })
})

describe('a call that breaks by a fault of ours', () => {
  it('leaves the others to answer, and all that they cost is booked', async () => {
    const gateway = await startGateway({
      vendors,
      upstream: byVendor({ openai: { text: 'Fine' } }),
      nodeModels: ['llama3.1:8b'],
      nodeConcurrency: 1,
      policy: { budgets },
      deps: { gateOf: () => ({ ...idleGate, enter: () => Promise.reject(new TypeError('broken')) }) },
    })
    const response = await ask(gateway, { members: [members[0], 'ollama/llama3.1:8b'] })
    expect(await response.json()).toMatchObject({ choices: [{ message: { content: 'Fine' } }] })
    const rows = await gateway.rows()
    expect(rows.map(({ provider, status }) => [provider, status])).toEqual([
      ['openai', 'ok'],
      ['ollama', 'error'],
      ['helix', 'ok'],
    ])
    expect(gateway.ledger.heldNanoUsd()).toBe(0)
  })
})

describe('too few answers', () => {
  it('are answered by the best there is, unless that is not wanted', async () => {
    const gateway = await start(byVendor({ openai: away, mistral: { text: 'Alone' }, deepseek: away }))
    expect(await (await ask(gateway, {})).json()).toMatchObject({
      choices: [{ message: { content: 'Alone' } }],
      ensemble: { responses_count: 1, metadata: { fallback: 'too_few_answers' } },
    })
    gateway.heal()
    const response = await ask(gateway, { fallback_to_best: false })
    expect(await errorIn(response)).toMatchObject({ status: 502, code: 'ensemble_failed' })
    const rows = await gateway.rows()
    expect(rows.at(-1)).toMatchObject({ provider: 'helix', status: 'error', error_code: 'ensemble_failed' })
    expect(rows).toHaveLength(8)
    const [answered, failed] = gateway.ledger.decisions()
    expect(answered).toMatchObject({ outcome: 'ok', chosen: members[1] })
    expect(answered?.ensemble?.members.map(({ won }) => won)).toEqual([false, true, false])
    expect(failed).toMatchObject({ outcome: 'error', chosen: null, ensemble: { voting_method: null } })
    expect(failed?.ensemble?.members.map(({ won }) => won)).toEqual([false, false, false])
  })

  it('are told in the words of the models where the caller is at fault', async () => {
    const gateway = await start(byVendor({ openai: refused, mistral: refused, deepseek: refused }), { budgets })
    expect(await errorIn(await ask(gateway, {}))).toMatchObject({ status: 400, code: 'bad' })
    await gateway.rows()
    expect(gateway.ledger.openHolds()).toBe(0)
  })

  it('count an answer that says nothing as none', async () => {
    const gateway = await start(byVendor({ openai: { text: '' }, mistral: { text: '42' }, deepseek: { text: '42' } }))
    expect(await (await ask(gateway, { strategy: 'majority' })).json()).toMatchObject({
      ensemble: { responses_count: 2, voting_method: 'majority', members: [{ outcome: 'empty' }, {}, {}] },
    })
  })
})

describe('a call', () => {
  it('without members gets them of different providers, the preferred ones first', async () => {
    const gateway = await start(byVendor({}))
    const response = await gateway.call('/v1/ensemble/completions', {
      messages,
      ensemble_config: { max_providers: 3, preferred_providers: ['groq'] },
    })
    const providers = (await ensembleIn(response))?.members.map(({ provider }) => provider)
    expect(new Set(providers).size).toBe(3)
    expect(providers?.[0]).toBe('groq')
  })

  it('of one provider gets different models of it', async () => {
    const gateway = await startGateway({ vendors: ['openai'], upstream: byVendor({}) })
    const response = await gateway.call('/v1/ensemble/completions', { messages, ensemble_config: { max_providers: 2 } })
    const ensemble = await ensembleIn(response)
    expect(new Set(ensemble?.members.map(({ model }) => model)).size).toBe(2)
  })

  it('of chat is one of several models when it says how', async () => {
    const gateway = await start(byVendor({}))
    const config = { members: members.slice(0, 2) }
    for (const given of [{ ensemble_config: config }, { helix: { ensemble_config: config } }]) {
      const ensemble = await ensembleIn(await gateway.chat({ model: 'auto', messages, ...given }))
      expect(ensemble?.responses_count).toBe(2)
    }
    expect(await ensembleIn(await gateway.chat({ model: 'openai/gpt-4o', messages }))).toBeUndefined()
    expect(JSON.stringify(gateway.sent)).not.toContain('ensemble_config')
  })

  it.each([
    ['/v1/messages', { messages, max_tokens: 50 }],
    ['/v1/responses', { input: 'What is six times seven?' }],
    ['/v1/completions', { prompt: 'What is six times seven?' }],
  ])('of %s is one of several models when it says how', async (path, given) => {
    const gateway = await start(
      byVendor({ openai: { text: '42' }, mistral: { text: 'seven' }, deepseek: { text: '42' } }),
    )
    const helix = { ensemble_config: { members, strategy: 'majority' } }
    for (const stream of [false, true]) {
      const response = await gateway.call(path, { model: 'auto', ...given, stream, helix })
      const text = await response.text()
      expect(response.status, text).toBe(200)
      expect(text).toContain('42')
      expect(text).not.toContain('seven')
      expect(response.headers.get('x-helix-attempts')).toBe('3')
    }
    const rows = await gateway.rows()
    expect(rows.filter(({ provider }) => provider === 'helix')).toHaveLength(2)
    expect(rows).toHaveLength(8)
  })

  it('goes by what its organisation has said, as far as it says nothing itself', async () => {
    const ensemble = { strategy: 'majority' as const, members: members.slice(0, 2), min_providers: 1 }
    const gateway = await start(byVendor({ openai: { text: '1' }, mistral: { text: '1' } }), { ensemble })
    const plain = await (await gateway.call('/v1/ensemble/completions', { messages })).json()
    expect(plain).toMatchObject({ ensemble: { voting_method: 'majority', metadata: { members_asked: 2 } } })
    const other = { messages, ensemble_config: { strategy: 'quality_weighted' } }
    expect(await (await gateway.call('/v1/ensemble/completions', other)).json()).toMatchObject({
      ensemble: { voting_method: 'quality_weighted', metadata: { members_asked: 2 } },
    })
  })

  it('that wants more answers than its organisation has models asked is refused', async () => {
    const gateway = await start(byVendor({}), { ensemble: { members: members.slice(0, 2), min_providers: 2 } })
    const wants = (ensemble_config: object) => gateway.call('/v1/ensemble/completions', { messages, ensemble_config })
    expect(await errorIn(await wants({ min_providers: 3 }))).toMatchObject({
      status: 400,
      param: 'ensemble_config.min_providers',
    })
    expect(gateway.sent).toEqual([])
    expect((await wants({ members, min_providers: 3 })).status).toBe(200)
  })

  it('with tools is answered by one model', async () => {
    const gateway = await start(byVendor({}))
    const tools = [{ type: 'function', function: { name: 'look', parameters: {} } }]
    const response = await ask(gateway, {}, { tools })
    expect(response.status).toBe(200)
    expect(gateway.sent.map(({ to }) => to)).toEqual(['openai'])
  })

  it.each([
    ['several choices', { n: 2 }, 'n'],
    [
      'a model that nobody has',
      { ensemble_config: { members: ['openai/gpt-4o', 'no-such-model'] } },
      'ensemble_config.members',
    ],
    [
      'more answers than models are named',
      { ensemble_config: { members, min_providers: 4 } },
      'ensemble_config.min_providers',
    ],
    [
      'a judge that nobody is',
      { ensemble_config: { members, strategy: 'merge', judge_model: 'nobody' } },
      'ensemble_config.judge_model',
    ],
  ])('of %s is refused before anything is sent', async (_what, given, param) => {
    const gateway = await start(byVendor({}), { budgets })
    const response = await gateway.call('/v1/ensemble/completions', {
      messages,
      ensemble_config: { members },
      ...given,
    })
    expect(await errorIn(response)).toMatchObject({ param })
    await gateway.rows()
    expect([gateway.sent.length, gateway.ledger.openHolds()]).toEqual([0, 0])
  })

  it('passes over members that its key may not use', async () => {
    const gateway = await start(byVendor({}), { allowedModels: ['openai/gpt-4o', 'mistral-large-latest'] })
    expect(await errorIn(await ask(gateway, {}))).toMatchObject({ status: 403 })
    const chosen = await gateway.call('/v1/ensemble/completions', { messages, model: 'auto' })
    expect([200, 403]).toContain(chosen.status)
    for (const { to } of gateway.sent) expect(['openai', 'mistral']).toContain(to)
  })
})

describe('what was learned', () => {
  it('of members who were right makes them more reliable', async () => {
    const gateway = await start(byVendor({ openai: { text: '42' }, mistral: { text: '42' }, deepseek: { text: '7' } }))
    const confidenceOf = async () => {
      const ensemble = await ensembleIn(await ask(gateway, { strategy: 'majority' }))
      await gateway.rows()
      return ensemble?.members.map(({ confidence }) => confidence) ?? []
    }
    const [first] = await confidenceOf()
    const [second, , outvoted] = await confidenceOf()
    expect(first).toBeCloseTo(0.25)
    expect(second).toBeCloseTo((2 / 3) * 0.5)
    expect(outvoted).toBe(0)
  })

  it('is not missed without Redis', async () => {
    const gateway = await start(byVendor({}))
    expect((await ask(gateway, {})).status).toBe(200)
    gateway.redis.away(true)
    expect((await ask(gateway, {})).status).toBe(200)
    await gateway.rows()
  })
})

describe('a stream', () => {
  const eventsOf = async (response: Response) =>
    (await response.text())
      .split('\n\n')
      .filter((event) => event.startsWith('data: {'))
      .map((event) => JSON.parse(event.slice('data: '.length)))

  const stream = { stream: true, stream_options: { include_usage: true } }

  it('tells the chosen answer once it is chosen, with the counts of all', async () => {
    const text = 'The answer to it is forty-two, as everybody knows by now.'
    const gateway = await start(byVendor({ openai: { text }, mistral: { text }, deepseek: { text: 'No idea' } }), {
      budgets,
    })
    const response = await ask(gateway, { strategy: 'majority' }, stream)
    expect(response.headers.get('content-type')).toContain('text/event-stream')
    const events = await eventsOf(response)
    expect(events.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toBe(text)
    const end = events.find(({ choices }) => choices[0]?.finish_reason)
    expect(end.ensemble).toMatchObject({ voting_method: 'majority', responses_count: 3 })
    expect(events.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: 30, completion_tokens: 15 } })
    const rows = await gateway.rows()
    expect(events.at(-1).helix.cost_usd).toBeCloseTo(rows.reduce((sum, row) => sum + row.cost_nanos, 0) / 1e9, 12)
    expect(rows.at(-1)).toMatchObject({ provider: 'helix', stream: true, status: 'ok' })
    expect(gateway.ledger.openHolds()).toBe(0)
  })

  it('of the fastest member ends with a revision where another answer was chosen', async () => {
    const slow = Promise.withResolvers<void>()
    const late = (said: Said) => () => slow.promise.then(() => streamed(said))
    const gateway = await start(
      byVendor({ openai: { text: 'Rome' }, mistral: late({ text: 'Paris' }), deepseek: late({ text: 'Paris.' }) }),
    )
    const response = await ask(gateway, { strategy: 'majority', stream_first: true }, stream)
    expect(response.headers.get('x-helix-provider')).toBe('openai')
    slow.resolve()
    const events = await eventsOf(response)
    expect(events.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toBe('Rome')
    const revisions = events.filter(({ object }) => object === 'helix.revision')
    expect(revisions).toMatchObject([
      { choices: [], revision: { content: 'Paris' }, ensemble: { voting_method: 'majority' } },
    ])
    expect(events.at(-1)).toMatchObject({ usage: { prompt_tokens: 30, completion_tokens: 15 } })
    expect(await gateway.rows()).toHaveLength(4)
  })

  it('of the fastest member is not revised where its answer was chosen', async () => {
    const gateway = await start(byVendor({ openai: { text: '42' }, mistral: { text: '42' }, deepseek: { text: '42' } }))
    const events = await eventsOf(await ask(gateway, { strategy: 'majority', stream_first: true }, stream))
    expect(events.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toBe('42')
    expect(events.filter(({ object }) => object === 'helix.revision')).toEqual([])
  })

  it('that nobody begins fails with a status of its own', async () => {
    const gateway = await start(byVendor({ openai: away, mistral: away, deepseek: away }), { budgets })
    for (const first of [false, true]) {
      gateway.heal()
      const response = await ask(gateway, { stream_first: first }, stream)
      expect(await errorIn(response)).toMatchObject({ status: 502, code: 'ensemble_failed' })
    }
    await gateway.rows()
    expect(gateway.ledger.openHolds()).toBe(0)
  })

  it.each([false, true])(
    'whose caller leaves ends the work of every member (stream_first: %s)',
    async (stream_first) => {
      const never = () => new Promise<Response>(() => undefined)
      const gateway = await start(byVendor({ openai: never, mistral: never, deepseek: never }), { budgets })
      const caller = new AbortController()
      const asking = ask(gateway, { stream_first }, stream, { signal: caller.signal })
      await expect.poll(() => gateway.sent.length).toBe(3)
      caller.abort()
      await asking.catch(() => undefined)
      const rows = await gateway.rows()
      expect(rows.map(({ status }) => status)).toEqual(['aborted', 'aborted', 'aborted', 'aborted'])
      expect(gateway.sent.every(({ signal }) => signal.aborted)).toBe(true)
      expect([gateway.ledger.openHolds(), gateway.ledger.heldNanoUsd()]).toEqual([0, 0])
    },
  )
})
