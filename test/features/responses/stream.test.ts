import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Deps } from '../../../src/core/context.ts'
import { AppError } from '../../../src/core/errors.ts'
import { type StreamPart, UpstreamError } from '../../../src/core/models.ts'
import { responsesRendering } from '../../../src/features/responses/rendering.ts'
import { askedOfResponse } from '../../../src/features/responses/request.ts'
import { CreateResponse } from '../../../src/features/responses/schema.ts'
import { fakeAdmission, fakeDeps, keptLog } from '../../support/fake-deps.ts'
import { readResponse, saidIn } from '../../support/response-events.ts'
import { begin, callOf, fragment, interleave, part } from '../../support/stream-parts.ts'

const booked = {
  usage: { prompt: 9, cached: 2, cacheWrite: 1, completion: 5, reasoning: 3 },
  estimated: false,
  costNanoUsd: 1500,
}

function writerOf(fields: object = {}, deps: Partial<Deps> = {}) {
  const { log, lines } = keptLog()
  const request = CreateResponse.parse({ model: 'asked', input: 'Hi', store: false, ...fields })
  const caller = { orgId: 'org_1', keyId: 'key_1', kind: 'api_key', scopes: [], ip: '' } as const
  const deferred: Promise<unknown>[] = []
  const defer = (work: Promise<unknown>) => void deferred.push(work)
  const around = { requestId: 'req_1', signal: new AbortController().signal, startedMs: 0, defer }
  const ctx = {
    ...fakeDeps({ log, ...deps }),
    ...around,
    caller: { ...caller, userId: undefined, role: undefined },
    admission: fakeAdmission(),
  }
  const conversation = { before: [], own: [] }
  const rendering = responsesRendering(ctx, request, conversation)
  return { rendering, lines, deferred, writer: rendering.stream(askedOfResponse(request, conversation), () => []) }
}

/** Everything that is written of a stream. */
async function written(parts: readonly StreamPart[], how: 'finished' | 'stopped' = 'finished', fields: object = {}) {
  const { writer } = writerOf(fields)
  let text = ''
  for (const each of parts) text += await writer.part(each)
  return text + (await writer.end(how, booked))
}

const read = async (...parts: StreamPart[]) => readResponse(await written(parts))

describe('a stream of events', () => {
  it('tells of the response, its item, its part, its text, and of their ends', async () => {
    const stream = await read(
      part({ role: 'assistant', content: '' }),
      part({ content: 'Hi' }),
      part({ content: '!' }, 'stop'),
    )
    expect(stream.events.map(({ type }) => type)).toEqual([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      'response.output_text.delta',
      'response.output_text.delta',
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.completed',
    ])
    expect(stream.created).toMatchObject({ object: 'response', status: 'in_progress', output: [], usage: null })
    expect(stream.final).toMatchObject({
      id: expect.stringMatching(/^resp_[0-9a-z]{26}$/),
      status: 'completed',
      model: 'gpt-4o-2024',
      error: null,
      incomplete_details: null,
      store: false,
      output: [
        {
          type: 'message',
          id: expect.stringMatching(/^msg_/),
          status: 'completed',
          role: 'assistant',
          content: [{ type: 'output_text', text: 'Hi!', annotations: [], logprobs: [] }],
        },
      ],
      usage: {
        input_tokens: 9,
        input_tokens_details: { cached_tokens: 2 },
        output_tokens: 5,
        output_tokens_details: { reasoning_tokens: 3 },
        total_tokens: 14,
      },
      helix: { cost_usd: 0.0000015 },
    })
  })

  it('has an item for each kind of content, one behind the other', async () => {
    const stream = await read(
      part({ reasoning_content: 'Hm' }),
      part({ reasoning: '.' }),
      part({ content: 'No' }),
      part({ refusal: 'I will not.' }),
      begin(0, '{"a":'),
      fragment(0, '1}'),
      part({}, 'tool_calls'),
    )
    expect(stream.items).toMatchObject([
      { type: 'reasoning', summary: [{ type: 'summary_text', text: 'Hm.' }] },
      { type: 'message', content: [{ text: 'No' }, { type: 'refusal', refusal: 'I will not.' }] },
      { type: 'function_call', status: 'completed', call_id: 'call_0', name: 'tool_0', arguments: '{"a":1}' },
    ])
    expect(new Set(stream.items.map(({ id }) => id)).size).toBe(3)
  })

  it('makes a part of each thought, and shows no signature', async () => {
    const thought = (thinking: string) => ({ type: 'thinking', thinking, signature: 'signed-by-them' })
    const text = await written([
      part({ reasoning_content: 'One.' }),
      part({ thinking_blocks: [thought('One.')] }),
      part({ thinking_blocks: [{ type: 'redacted_thinking', data: 'their-data' }] }),
      part({ thinking_blocks: [thought('Two.')] }),
      part({ content: 'So.' }, 'stop'),
    ])
    expect(text).not.toMatch(/signed-by-them|their-data/)
    expect(readResponse(text).items[0]).toEqual({
      type: 'reasoning',
      id: expect.stringMatching(/^rs_/),
      summary: [
        { type: 'summary_text', text: 'One.' },
        { type: 'summary_text', text: 'Two.' },
      ],
    })
  })

  it('tells of custom tools, of citations, of probabilities and of what another wire wants back', async () => {
    const extra = { google: { thought_signature: 's' } }
    const logprob = { token: 'A', logprob: -1, bytes: [65], top_logprobs: [] }
    const citation = { url: 'https://a.test', title: 'A', start_index: 0, end_index: 1 }
    const stream = await read(
      part({ content: 'A' }, null, { choice: { logprobs: { content: [logprob] } } }),
      part({ annotations: [{ type: 'url_citation', url_citation: citation }] }),
      part({ tool_calls: [{ index: 0, id: 'c', custom: { name: 'run', input: 'ls ' }, extra_content: extra }] }),
      part({ tool_calls: [{ index: 0, custom: { input: '-l' } }] }),
      part({ content: '', extra_content: extra }, 'tool_calls'),
    )
    expect(stream.final.output).toMatchObject([
      {
        type: 'message',
        content: [{ text: 'A', annotations: [{ type: 'url_citation', ...citation }], logprobs: [logprob] }],
        extra_content: extra,
      },
      { type: 'custom_tool_call', call_id: 'c', name: 'run', input: 'ls -l', extra_content: extra },
    ])
  })

  it('makes an empty object of arguments that nobody wrote', async () => {
    expect((await read(begin(0), part({}, 'tool_calls'))).items).toMatchObject([{ arguments: '{}' }])
  })

  it.each([
    ['length', 'finished', 'max_output_tokens', undefined],
    ['content_filter', 'finished', 'content_filter', undefined],
    [null, 'stopped', 'max_output_tokens', 'budget'],
  ] as const)('is incomplete after %s (%s)', async (finish, how, reason, told) => {
    const stream = readResponse(await written([part({ content: 'Hi' }), begin(0, '{"a'), part({}, finish)], how))
    expect(stream).toMatchObject({ end: 'incomplete', final: { incomplete_details: { reason } } })
    expect(stream.items).toMatchObject([{ status: 'completed' }, { status: 'incomplete', arguments: '{"a' }])
    expect(stream.final.helix).toMatchObject(told ? { reason: told } : {})
  })

  it.each([
    ['broke off', new UpstreamError('cut', 'secret'), 'server_error'],
    ['said why', new UpstreamError('reported', 'secret', { vendor: { message: 'Busy.' } }), 'server_error'],
    ['was not reached', new AppError('rate_limit_exceeded', 'Too fast.'), 'rate_limit_exceeded'],
    ['stumbled', new TypeError('secret'), 'server_error'],
  ])('fails with all that was said when the vendor %s', async (_how, error, code) => {
    const { writer } = writerOf()
    const text = (await writer.part(part({ content: 'Hi' }))) + (await writer.failure(error))
    const stream = readResponse(text)
    expect(stream).toMatchObject({ end: 'failed', items: [{ status: 'incomplete' }], final: { error: { code } } })
    expect(text).not.toContain('secret')
  })

  it('begins at once where its vendor is silent, and then goes on', async () => {
    const { writer } = writerOf()
    const text = (await writer.opening()) + writer.keepAlive + (await writer.part(part({ content: 'Hi' }, 'stop')))
    const stream = readResponse(text + (await writer.end('finished', booked)))
    expect(stream).toMatchObject({ comments: 2, created: { model: 'asked' }, final: { model: 'gpt-4o-2024' } })
    const { writer: failing } = writerOf()
    const failed = (await failing.opening()) + (await failing.failure(new UpstreamError('timeout', 'late')))
    expect(readResponse(failed)).toMatchObject({ end: 'failed', items: [] })
  })

  it('arrives although it cannot be stored or sealed, and says so', async () => {
    const { writer, lines } = writerOf({ store: true, include: ['reasoning.encrypted_content'] })
    const thought = { type: 'thinking', thinking: 'Hm.', signature: 's' }
    let text = await writer.part(part({ thinking_blocks: [thought] }))
    text += await writer.part(part({ content: 'Hi' }, 'stop'))
    const stream = readResponse(text + (await writer.end('finished', booked)))
    expect(stream).toMatchObject({ created: { store: true }, end: 'completed', final: { store: false } })
    expect(stream.items[0]).toMatchObject({ type: 'reasoning', encrypted_content: null })
    expect(lines.map(({ event }) => event)).toEqual(['thoughts_not_sealed', 'response_not_stored'])
  })
})

describe('a store that is slow', () => {
  afterEach(() => {
    vi.useRealTimers()
  })

  it('keeps nobody waiting for long, and keeps nothing of whom it kept waiting', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const { promise: stored, reject } = Promise.withResolvers<never>()
    const asked: unknown[] = []
    const db: Deps['db'] = {
      query: () => Promise.reject(new Error('not asked')),
      atomically: (orgId) => {
        asked.push(orgId)
        return stored
      },
    }
    const { writer, lines, deferred } = writerOf({ store: true }, { db })
    const text = await writer.part(part({ content: 'Hi' }, 'stop'))
    const ending = writer.end('finished', booked)
    await vi.advanceTimersByTimeAsync(5000)
    expect(readResponse(text + (await ending))).toMatchObject({ end: 'completed', final: { store: false } })
    expect(lines.map(({ event }) => event)).toEqual(['response_not_stored'])
    expect([asked, deferred.length, vi.getTimerCount()]).toEqual([['org_1'], 1, 0])
    reject(new Error('gone'))
    await expect(deferred[0]).rejects.toThrow('gone')
  })
})

/** Fragments of several calls, of text and of thoughts, in any order in which each one's own are in order. */
const interleaved = fc
  .record({
    calls: fc.array(
      fc.json({ maxDepth: 2 }).map((json) => `{"value":${json}}`),
      { maxLength: 4 },
    ),
    text: fc.array(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 5 }), { maxLength: 5 }),
    thoughts: fc.array(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 5 }), { maxLength: 3 }),
    custom: fc.array(fc.string({ minLength: 1, maxLength: 5 }), { maxLength: 3 }),
    order: fc.array(fc.nat(), { minLength: 60, maxLength: 60 }),
    sizes: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 20, maxLength: 20 }),
  })
  .map(({ calls, text, thoughts, custom, order, sizes }) => {
    const queues = calls.map((json, index) => callOf(index, json, sizes))
    const words = custom.map((input) =>
      part({ tool_calls: [{ index: 9, id: 'call_9', custom: { name: 'run', input } }] }),
    )
    const said = text.map((piece) => part({ content: piece }))
    const thought = thoughts.map((piece) => part({ reasoning_content: piece }))
    const parts = interleave([...queues, words, said, thought], order)
    return { calls, text: text.join(''), thoughts: thoughts.join(''), custom: custom.join(''), parts }
  })

describe('whatever the order of fragments', () => {
  it('every input, all text and all thoughts arrive whole, one item at a time', async () => {
    await fc.assert(
      fc.asyncProperty(interleaved, async ({ calls, text, thoughts, custom, parts }) => {
        const { items } = await read(...parts, part({}, 'stop'))
        const inputs = items.filter(({ type }) => type === 'function_call')
        expect(new Map(inputs.map(({ call_id, arguments: json }) => [call_id, json]))).toEqual(
          new Map(calls.map((json, index) => [`call_${index}`, json])),
        )
        expect(inputs).toHaveLength(calls.length)
        expect(saidIn(items, 'output_text')).toBe(text)
        expect(saidIn(items, 'summary_text')).toBe(thoughts)
        const ran = items.filter(({ type }) => type === 'custom_tool_call')
        expect(ran.map(({ input }) => input)).toEqual(custom === '' ? [] : [custom])
      }),
    )
  })

  it('a stream that ends anywhere ends well', async () => {
    await fc.assert(
      fc.asyncProperty(interleaved, fc.nat(), fc.constantFrom('length', null, 'error'), async ({ parts }, at, how) => {
        const { writer } = writerOf()
        let text = ''
        for (const each of parts.slice(0, at % (parts.length + 1))) text += await writer.part(each)
        if (how === 'length') text += await writer.part(part({}, 'length'))
        text += await (how === 'error' ? writer.failure(new TypeError('x')) : writer.end('finished', booked))
        const ends = { length: 'incomplete', error: 'failed', null: 'completed' }
        expect(readResponse(text).end).toBe(ends[how ?? 'null'])
      }),
    )
  })
})

describe('an answer in one piece', () => {
  it('is what its stream would have come to', async () => {
    const thought = { type: 'thinking', thinking: 'Hm.', signature: 's' }
    const calls = [{ id: 'call_0', type: 'function', function: { name: 'tool_0', arguments: '{}' } }]
    const { rendering } = writerOf()
    const whole = await rendering.whole(
      {
        kind: 'whole',
        usage: booked.usage,
        ignored: [],
        completion: {
          id: 'x',
          object: 'chat.completion',
          created: 1,
          model: 'gpt-4o-2024',
          choices: [
            {
              index: 0,
              message: {
                role: 'assistant',
                content: 'So.',
                reasoning_content: 'Hm.',
                thinking_blocks: [thought],
                tool_calls: calls,
              },
              finish_reason: 'tool_calls',
            },
          ],
        },
      },
      booked,
    )
    const stream = await read(
      part({ reasoning_content: 'Hm.' }),
      part({ thinking_blocks: [thought] }),
      part({ content: 'So.' }),
      begin(0, '{}'),
      part({}, 'tool_calls'),
    )
    const anonymous = (value: object) =>
      JSON.stringify({ ...value, id: '', created_at: 0, completed_at: 0, helix: 0 }).replaceAll(/_[0-9a-z]{26}_/g, '_')
    expect(anonymous(Object(whole))).toBe(anonymous(stream.final))
  })
})
