import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { askForData } from '../../../src/features/calls/service.ts'
import { budget, completion, nodeAnswer, OUTER, question, startCalls } from './world.ts'

const shape = {
  name: 'count_things',
  schema: z.object({ things: z.array(z.string().max(20)), count: z.int().min(0) }),
}
const good = JSON.stringify({ things: ['a'], count: 1 })

/** A vendor that gives these answers in turn. */
async function answering(...answers: (string | { content: string; finish: string })[]) {
  let at = 0
  const world = await startCalls({
    nodeModels: ['llama3'],
    policy: { budgets: [budget] },
    upstream: ({ to }) => {
      const answer = answers[at++] ?? ''
      const { content, finish = 'stop' } = typeof answer === 'string' ? { content: answer } : answer
      return to === 'ollama' ? nodeAnswer(content) : completion(content, { finish })
    },
  })
  return world
}

describe('data of a shape', () => {
  it('is asked for by its schema, which a vendor may hold the model to', async () => {
    const { ctx, sent, rows } = await answering(good)
    const { data, reply, repaired } = await askForData(ctx(), question(), shape)
    expect([data, repaired, reply.text]).toEqual([{ things: ['a'], count: 1 }, false, good])
    expect(sent[0]?.body.response_format).toEqual({
      type: 'json_schema',
      json_schema: {
        name: 'count_things',
        strict: true,
        schema: {
          type: 'object',
          properties: {
            things: { type: 'array', items: { type: 'string' } },
            count: { type: 'integer', minimum: 0 },
          },
          required: ['things', 'count'],
          additionalProperties: false,
        },
      },
    })
    expect(await rows()).toHaveLength(1)
  })

  it('is asked of a node as its format', async () => {
    const { ctx, sent } = await answering(good)
    await askForData(ctx(), question({ model: 'llama3', nodesOnly: true }), shape)
    expect(sent[0]?.body.format).toMatchObject({ type: 'object', required: ['things', 'count'] })
  })

  it.each([
    ['of another form', '{"things":["a"],"count":-1}', '/count'],
    ['that is no JSON', 'There is one thing.', 'one JSON object'],
    ['that is empty', '', 'one JSON object'],
    ['that was cut off', { content: good, finish: 'length' }, 'cut off'],
  ])('is asked for once more after an answer %s', async (_name, bad, told) => {
    const { ctx, sent, rows, ledger } = await answering(bad, good)
    const { data, reply, repaired } = await askForData(ctx(), question(), shape)
    expect([data, repaired]).toEqual([{ things: ['a'], count: 1 }, true])
    const messages: unknown = sent[1]?.body.messages
    const [, ...added] = z.array(z.object({ role: z.string(), content: z.string() })).parse(messages)
    const shown = typeof bad === 'string' ? bad : bad.content
    expect(added.map(({ role }) => role)).toEqual(shown === '' ? ['user'] : ['assistant', 'user'])
    if (shown !== '') expect(added[0]?.content).toBe(shown)
    expect(added.at(-1)?.content).toContain(told)
    const booked = await rows()
    expect(booked.map((row) => [row.parent_request_id, row.status])).toEqual([
      [OUTER, 'ok'],
      [OUTER, 'ok'],
    ])
    expect(new Set(booked.map(({ request_id }) => request_id)).size).toBe(2)
    expect(reply.costNanoUsd).toBe(booked.reduce((sum, { cost_nanos }) => sum + cost_nanos, 0))
    expect(reply.usage).toMatchObject({ prompt: 200, completion: 20 })
    expect([ledger.calls().hold, ledger.settlements()]).toEqual([2, 2])
    expect(ledger.openHolds()).toBe(0)
  })

  it('is asked for once more after an answer that its own check refuses', async () => {
    const { ctx, sent } = await answering(good, '{"things":["a","b"],"count":2}')
    const check = ({ count }: { count: number }) => (count === 2 ? [] : ['count: there are two.'])
    const { data } = await askForData(ctx(), question(), { ...shape, check })
    expect(data.count).toBe(2)
    expect(JSON.stringify(sent[1]?.body.messages)).toContain('- count: there are two.')
  })

  it('that is wrong twice is an error that repeats nothing of it', async () => {
    const { ctx, sent, rows, ledger, log } = await answering('secret one', '{"things":"secret two"}', good)
    const error = await askForData(ctx(), question(), shape).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({
      code: 'model_output_invalid',
      status: 502,
      details: { operation: 'count_things', target: 'openai/gpt-4o-mini' },
    })
    expect(String(error) + JSON.stringify(error) + JSON.stringify(log)).not.toContain('secret')
    expect(sent).toHaveLength(2)
    expect(await rows()).toMatchObject([{ status: 'ok' }, { status: 'ok' }])
    expect([ledger.settlements(), ledger.openHolds(), ledger.heldNanoUsd()]).toEqual([2, 0, 0])
  })

  it('shows the model no more of a long answer than it has to', async () => {
    const { ctx, sent } = await answering(`{"things":${JSON.stringify(['x'.repeat(100_000)])}`, good)
    await askForData(ctx(), question(), shape)
    expect(JSON.stringify(sent[1]?.body.messages).length).toBeLessThan(12_000)
  })

  it('whose second call fails is what that failed of, and both are booked', async () => {
    let at = 0
    const { ctx, rows, ledger } = await startCalls({
      policy: { budgets: [budget] },
      upstream: () => (at++ === 0 ? completion('no') : new Response('broken', { status: 400 })),
    })
    await expect(askForData(ctx(), question(), shape)).rejects.toMatchObject({ code: 'invalid_request' })
    expect((await rows()).map(({ status }) => status)).toEqual(['ok', 'error'])
    expect(ledger.openHolds()).toBe(0)
  })
})
