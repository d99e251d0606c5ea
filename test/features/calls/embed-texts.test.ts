import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { batchesOf } from '../../../src/features/calls/embed-texts.ts'
import { embedTexts } from '../../../src/features/calls/service.ts'
import type { Sent, TestGatewayOptions } from '../../support/gateway.ts'
import { count } from '../../support/lane.ts'
import { budget, OUTER, startCalls } from './world.ts'

const model = 'text-embedding-3-small'
const inputOf = ({ body }: Sent): string[] => (Array.isArray(body.input) ? body.input.map(String) : [])

/** Vectors that say which text they are of. */
const vectors = (sent: Sent) => {
  const input = inputOf(sent)
  if (sent.to === 'ollama') {
    return Response.json({ embeddings: input.map((text) => [Number(text), 1]), prompt_eval_count: input.length })
  }
  const data = input.map((text, index) => ({ object: 'embedding', index, embedding: [Number(text), 0] }))
  return Response.json({ object: 'list', data, model, usage: { prompt_tokens: input.length, total_tokens: 0 } })
}

const start = (options: TestGatewayOptions = {}) => startCalls({ upstream: vectors, ...options })
const numbers = (many: number) => Array.from({ length: many }, (_, at) => String(at))

describe('texts that are embedded inside a request', () => {
  it('are vectors in their order, of as many calls as it takes, each booked on its own', async () => {
    const { ctx, sent, rows, ledger } = await start({ policy: { budgets: [budget] } })
    const texts = numbers(5000)
    const told = await embedTexts(ctx(), { model, texts })
    expect(told.vectors.map(([first]) => first)).toEqual(texts.map(Number))
    expect([told.model, told.promptTokens]).toEqual([`openai/${model}`, 5000])
    expect(sent.map((one) => inputOf(one).length)).toEqual([2048, 2048, 904])
    const booked = await rows()
    expect(booked.map((row) => [row.operation, row.parent_request_id, row.prompt_tokens])).toEqual([
      ['embedding', OUTER, 2048],
      ['embedding', OUTER, 2048],
      ['embedding', OUTER, 904],
    ])
    expect([ledger.calls().hold, ledger.settlements()]).toEqual([3, 3])
    expect([ledger.openHolds(), ledger.decisions().length]).toEqual([0, 3])
  })

  it('are all of the target that made the first', async () => {
    let calls = 0
    const { ctx, sent } = await start({
      vendors: ['openai', 'mistral'],
      upstream: (one) => (one.to === 'openai' && calls++ > 0 ? new Response('no', { status: 503 }) : vectors(one)),
    })
    const wish = { model: 'auto', texts: numbers(3000) }
    await expect(embedTexts(ctx(), wish)).rejects.toMatchObject({ code: 'provider_error' })
    expect(new Set(sent.map(({ to }) => to))).toEqual(new Set(['openai']))
  })

  it('stay on nodes where they must', async () => {
    const { ctx, sent } = await start({ nodeModels: ['nomic-embed-text'] })
    const refused = embedTexts(ctx(), { model, texts: ['1'], nodesOnly: true })
    await expect(refused).rejects.toMatchObject({ code: 'model_not_found' })
    expect(sent).toEqual([])
  })

  it('are nobody’s to pay where the budget is used up', async () => {
    const { ctx, sent, rows } = await start({ policy: { budgets: [{ ...budget, limitNanoUsd: 1 }] } })
    const refused = embedTexts(ctx(), { model, texts: ['1', '2'] })
    await expect(refused).rejects.toMatchObject({ code: 'insufficient_quota' })
    expect([sent, await rows()]).toEqual([[], []])
  })

  it('are settled once when the vendor fails, and when the caller leaves', async () => {
    const { ctx, sent, rows, ledger, upstream } = await start({ policy: { budgets: [budget] } })
    upstream(() => new Response('no', { status: 400 }))
    await expect(embedTexts(ctx(), { model, texts: ['1'] })).rejects.toMatchObject({ code: 'invalid_request' })
    upstream(() => new Promise<Response>(() => {}))
    const caller = new AbortController()
    const asking = embedTexts(ctx({ signal: caller.signal }), { model, texts: ['1'] }).catch(() => 'left')
    await expect.poll(() => sent.length).toBe(2)
    caller.abort()
    expect(await asking).toBe('left')
    expect((await rows()).map(({ status }) => status)).toEqual(['error', 'aborted'])
    expect([ledger.settlements(), ledger.openHolds()]).toEqual([2, 0])
  })

  it('are none without a call where there are none', async () => {
    const { ctx, sent } = await start()
    expect(await embedTexts(ctx(), { model, texts: [] })).toEqual({ vectors: [], model, promptTokens: 0 })
    expect(sent).toEqual([])
  })

  it('go in calls that are no larger than vendors take, and are all there', () => {
    const text = fc.oneof(
      fc.string(),
      fc.nat(400_000).map((length) => 'x'.repeat(length)),
    )
    fc.assert(
      fc.property(fc.array(text, { maxLength: 12 }), (texts) => {
        const batches = [...batchesOf(texts)]
        expect(batches.flat()).toEqual(texts)
        for (const batch of batches) {
          const chars = batch.reduce((sum, { length }) => sum + length, 0)
          expect(batch.length > 0 && (batch.length === 1 || chars <= 300_000)).toBe(true)
        }
      }),
      { numRuns: count(50, 1000) },
    )
  })
})
