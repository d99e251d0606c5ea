import { describe, expect, it } from 'vitest'
import { errorIn } from '../../support/client-error.ts'
import { startGateway, type TestGatewayOptions } from '../../support/gateway.ts'

const START_MS = 1_800_000_000_000

const completion = {
  id: 'c1',
  object: 'chat.completion',
  created: 1,
  model: 'm',
  choices: [{ index: 0, message: { role: 'assistant', content: 'word' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 5, completion_tokens: 1, total_tokens: 6 },
}

/** A gateway over two vendors, of which the first does as it is told, and whose clock stands still. */
async function start(given: TestGatewayOptions = {}) {
  let nowMs = START_MS
  let conduct: ResponseInit = {}
  const gateway = await startGateway({
    vendors: ['openai', 'deepseek'],
    now: () => nowMs,
    deps: { random: () => 0.5 },
    upstream: ({ to }) => Response.json(completion, to === 'openai' ? conduct : {}),
    ...given,
  })
  const ask = async (model = 'openai/gpt-4o', fallbacks: readonly string[] = []) => {
    const before = gateway.sent.length
    const messages = [{ role: 'user', content: 'Hi' }]
    const response = await gateway.chat({ model, max_tokens: 5, messages, helix: { fallback_models: fallbacks } })
    await gateway.rows()
    return { response, asked: gateway.sent.slice(before).map(({ to }) => to) }
  }
  return {
    ...gateway,
    ask,
    passes: (ms: number) => {
      nowMs += ms
    },
    openai: (init: ResponseInit) => {
      conduct = init
    },
    state: () => Object.fromEntries(gateway.redis.fields('tgt:openai/gpt-4o')),
    put: (fields: Record<string, string>) => gateway.redis.pipeline([['HSET', 'tgt:openai/gpt-4o', fields]]),
  }
}

describe('a target that is cooling', () => {
  it('is refused to whoever names it, without being asked, until the time that it said', async () => {
    const { ask, openai, passes, state, ledger } = await start()
    openai({ status: 429, headers: { 'retry-after': '7' } })
    expect((await ask()).response.status).toBe(429)
    openai({})
    passes(500)
    const { response, asked } = await ask()
    expect([response.status, response.headers.get('retry-after'), asked]).toEqual([429, '7', []])
    expect(await errorIn(response)).toMatchObject({ code: 'rate_limit_exceeded' })
    expect(state()).toMatchObject({ c: String(START_MS + 7000) })
    const elsewhere = await ask('openai/gpt-4o', ['deepseek/deepseek-chat'])
    expect([elsewhere.response.status, elsewhere.asked]).toEqual([200, ['deepseek']])
    expect(ledger.decisions().at(-1)?.excluded).toEqual([{ target: 'openai/gpt-4o', reason: 'cooling' }])
    passes(6500)
    expect((await ask()).asked).toEqual(['openai'])
  })
})

describe('a target that was out', () => {
  it('is tried after ten seconds, then after twenty, and by everybody once it was well twice', async () => {
    const { ask, openai, passes, state } = await start()
    openai({ status: 500 })
    for (let call = 0; call < 5; call += 1) await ask()
    expect((await ask()).asked).toEqual([])
    passes(9_999)
    const early = await ask()
    expect([early.response.status, early.response.headers.get('retry-after'), early.asked]).toEqual([503, '1', []])
    passes(1)
    // One that tries it asks it once, whatever comes of it.
    expect((await ask()).asked).toEqual(['openai'])
    passes(19_999)
    expect((await ask()).asked).toEqual([])
    passes(1)
    openai({})
    expect((await ask()).response.status).toBe(200)
    expect(state()).toMatchObject({ g: '1' })
    expect((await ask()).response.status).toBe(200)
    expect(state()).toEqual({})
  })

  it('is asked as ever once somebody has closed its breaker', async () => {
    const { ask, openai, passes, redis } = await start()
    openai({ status: 500 })
    for (let call = 0; call < 5; call += 1) await ask()
    passes(1)
    redis.forget('tgt:')
    expect((await ask()).asked).toEqual(['openai', 'openai', 'openai'])
  })

  it('is not tried by a call that has something better first', async () => {
    const { ask, put, state } = await start()
    await put({ u: String(START_MS - 1), k: '1' })
    expect((await ask('deepseek/deepseek-chat', ['openai/gpt-4o'])).asked).toEqual(['deepseek'])
    expect(state()).toEqual({ u: String(START_MS - 1), k: '1' })
  })

  it.each([
    ['a budget has no room', { budgets: [{ id: 'bud_1', window: 'total' as const, limitNanoUsd: 1 }] }, 429],
    ['its caller may not use it', { allowedModels: ['deepseek/deepseek-chat'] }, 403],
  ])('is left to the next call when %s', async (_why, policy, status) => {
    const { ask, put, state } = await start({ policy })
    await put({ u: String(START_MS - 1), k: '1' })
    const { response, asked } = await ask()
    expect([response.status, asked]).toEqual([status, []])
    expect(state()).toEqual({ u: String(START_MS - 1), k: '1' })
  })

  it('is given back by a caller who leaves before it was asked', async () => {
    const { chat, put, state, rows } = await start()
    await put({ u: String(START_MS - 1), k: '1' })
    const body = { model: 'openai/gpt-4o', messages: [{ role: 'user', content: 'Hi' }] }
    expect((await chat(body, { signal: AbortSignal.abort() })).status).toBe(400)
    await rows()
    expect(state()).toEqual({ u: String(START_MS - 1), k: '1' })
  })
})
