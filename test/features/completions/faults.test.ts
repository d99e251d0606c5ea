import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readClient } from '../../support/client-events.ts'
import { type Sent, startGateway } from '../../support/gateway.ts'
import { count } from '../../support/lane.ts'
import { scriptedBody } from '../../support/scripted-body.ts'

/** What a vendor does with a request; behind the bar what it says before it breaks off. */
const deeds = [
  'answers',
  'connect',
  'html',
  'empty',
  'cut',
  'role|cut',
  'text|cut',
  'text|error',
  '400',
  '401',
  '404',
  '429',
  '429 after 3',
  '500',
  '503',
] as const
type Deed = (typeof deeds)[number]

const chunk = (delta: object, finish: string | null = null) =>
  `data: ${JSON.stringify({ id: 'c1', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`
const role = chunk({ role: 'assistant', content: '' })
const text = chunk({ content: 'word' })
const whole = JSON.stringify({
  id: 'c1',
  object: 'chat.completion',
  created: 1,
  model: 'm',
  choices: [{ index: 0, message: { role: 'assistant', content: 'word' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 5, completion_tokens: 1, total_tokens: 6 },
})

function answer(deed: Deed, { body, signal }: Sent): Response | Promise<Response> {
  const isStream = body.stream === true
  const says = (pieces: string[], end: 'eof' | 'reset') => scriptedBody(pieces, { end, signal }).response
  switch (deed) {
    case 'connect':
      return Promise.reject(new TypeError('connection refused'))
    case 'html':
      return new Response('<html>Welcome</html>', { headers: { 'content-type': 'text/html' } })
    case 'empty':
      return new Response('')
    case 'cut':
      return says([], 'reset')
    case 'role|cut':
      return says(isStream ? [role] : ['{"id":'], 'reset')
    case 'text|cut':
      return says(isStream ? [role, text] : [whole.slice(0, -9)], 'reset')
    case 'text|error':
      return says(
        isStream ? [role, text, 'data: {"error":{"message":"no more"}}\n\n'] : ['{"error":{"message":"no"}}'],
        'eof',
      )
    case 'answers':
      if (isStream) return says([role, text, chunk({}, 'stop'), 'data: [DONE]\n\n'], 'eof')
      return new Response(whole, { headers: { 'content-type': 'application/json' } })
    default: {
      const [status, , seconds] = deed.split(' ')
      return Response.json(
        { error: { message: 'scripted' } },
        { status: Number(status), headers: seconds === undefined ? {} : { 'retry-after': seconds } },
      )
    }
  }
}

/** Whether a stream's caller has seen something of it. */
const hasContent = (deed: Deed, isStream: boolean): boolean =>
  deed === 'answers' || (isStream && (deed === 'text|cut' || deed === 'text|error'))

const endsThere: ReadonlySet<Deed> = new Set(['400', '404'])
const budgets = [{ id: 'bud_1', window: 'total' as const, limitNanoUsd: 1_000_000_000_000 }]
const models = ['openai/gpt-4o', 'deepseek/deepseek-chat', 'groq/llama-3.3-70b-versatile']

describe('whatever goes wrong at whom', () => {
  it('nothing is asked again after content, attempts are bounded, and each hold is settled once', async () => {
    let script: Deed[] = []
    const gateway = await startGateway({
      vendors: ['openai', 'deepseek', 'groq'],
      policy: { budgets },
      deps: { random: () => 0 },
    })
    const ask = fc.record({
      deeds: fc.array(fc.constantFrom(...deeds), { minLength: 1, maxLength: 6 }),
      wants: fc.shuffledSubarray(models, { minLength: 1 }),
      stream: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(ask, async ({ deeds: given, wants: [model = '', ...fallbacks], stream }) => {
        gateway.heal()
        script = [...given]
        const asked: Deed[] = []
        gateway.upstream((sent) => {
          const deed = script.shift() ?? 'answers'
          asked.push(deed)
          return answer(deed, sent)
        })
        const before = { rows: (await gateway.rows()).length, calls: gateway.ledger.settlements() }
        const fields = { model, max_tokens: 5, messages: [{ role: 'user', content: 'Hi' }], stream }
        const response = await gateway.chat({ ...fields, helix: { fallback_models: fallbacks } })
        const isDone = stream && response.status === 200 && (await readClient(response)).done
        if (!response.bodyUsed) await response.text()
        const last = asked.at(-1)
        expect(asked.length).toBeLessThanOrEqual(3)
        for (const deed of asked.slice(0, -1)) expect(hasContent(deed, stream) || endsThere.has(deed)).toBe(false)
        expect(response.status === 200).toBe(last !== undefined && hasContent(last, stream))
        if (response.status === 200 && stream) expect(isDone).toBe(last === 'answers')
        const rows = (await gateway.rows()).slice(before.rows)
        expect(rows).toMatchObject([{ attempts: asked.length, status: last === 'answers' ? 'ok' : 'error' }])
        expect(gateway.ledger.settlements() - before.calls).toBe(1)
        expect([gateway.ledger.openHolds(), gateway.ledger.heldNanoUsd()]).toEqual([0, 0])
      }),
      { numRuns: count(60, 10_000), seed: 71, endOnFailure: true },
    )
  })
})

describe('a target that did not answer in time', () => {
  const silent = new Promise<Response>(() => undefined)
  const call = (helix: object) => ({
    model: 'openai/gpt-4o',
    max_tokens: 5,
    messages: [{ role: 'user', content: 'Hi' }],
    helix: { fallback_models: ['deepseek/deepseek-chat'], ...helix },
  })

  it('is paid beside the one that answered, where its caller said that both may be', async () => {
    const { chat, upstream, rows, sent, ledger } = await startGateway({
      vendors: ['openai', 'deepseek'],
      policy: { budgets },
    })
    upstream((one) => (one.to === 'openai' ? silent : answer('answers', one)))
    const given = { routing: { timeout_ms: 1000, allow_double_cost: true } }
    const response = await chat(call(given))
    expect([response.status, response.headers.get('x-helix-attempts')]).toEqual([200, '2'])
    await response.text()
    const booked = await rows()
    const [unanswered, answered] = [
      booked.find((row) => row.provider === 'openai'),
      booked.find((row) => row.provider === 'deepseek'),
    ]
    expect(booked).toHaveLength(2)
    expect(unanswered).toMatchObject({
      status: 'error',
      estimated: true,
      completion_tokens: 0,
      parent_request_id: answered?.request_id,
    })
    expect(unanswered?.cost_nanos).toBeGreaterThan(0)
    expect(answered).toMatchObject({ status: 'ok', attempts: 2 })
    expect(sent.map(({ to }) => to)).toEqual(['openai', 'deepseek'])
    expect([ledger.openHolds(), ledger.heldNanoUsd()]).toEqual([0, 0])
  })

  it('ends the call otherwise, and where no budget has room for both', async () => {
    let heldNanoUsd = 0
    const alone = async (limitNanoUsd: number, routing: object) => {
      const policy = { budgets: [{ id: 'bud_1', window: 'total' as const, limitNanoUsd }] }
      const { chat, upstream, rows, sent, ledger } = await startGateway({ vendors: ['openai', 'deepseek'], policy })
      upstream(() => {
        heldNanoUsd = ledger.heldNanoUsd()
        return silent
      })
      expect((await chat(call({ routing }))).status).toBe(504)
      expect(sent).toHaveLength(1)
      expect(await rows()).toMatchObject([{ provider: 'openai', status: 'error', estimated: true }])
    }
    await alone(1_000_000_000_000, { timeout_ms: 1000 })
    await alone(heldNanoUsd, { timeout_ms: 1000, allow_double_cost: true })
  })
})
