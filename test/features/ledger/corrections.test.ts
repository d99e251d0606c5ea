import { describe, expect, it } from 'vitest'
import type { Limit } from '../../../src/core/admission.ts'
import { correctionsOf } from '../../../src/features/ledger/corrections.ts'
import { limitKeys } from '../../../src/features/limits/service.ts'
import { fakePolicy } from '../../support/fake-deps.ts'
import { rowOf } from './calls.ts'

const nowMs = 1_800_000_030_000
const window = Math.floor(nowMs / 60_000)
const tokens = (id: string, given: Partial<Limit> = {}): Limit => ({
  id,
  subject: 'key',
  metric: 'tokens',
  algorithm: 'sliding_window',
  window: 60,
  amount: 1000,
  mode: 'enforce',
  ...given,
})
const of = (target: string, mode: Limit['mode'] = 'enforce') => tokens(target, { subject: 'provider', target, mode })

const keyOf = (id: string) => limitKeys.window('org_1', id, window)
const charged = (id: string, target?: string) => ({
  key: keyOf(id),
  tokens: 100,
  ttlSeconds: 120,
  ...(target === undefined ? {} : { target }),
})

const limits = [tokens('own'), of('openai'), of('groq'), of('groq/llama'), of('groq/llama', 'monitor')]
const answeredBy = (provider: string, model: string) => ({
  ...rowOf('req_1', 0),
  provider,
  model,
  prompt_tokens: 30,
  completion_tokens: 40,
})
const deltas = (row: ReturnType<typeof answeredBy>) =>
  correctionsOf(
    { policy: fakePolicy({ limits }), tokenCharges: [charged('own'), charged('openai', 'openai')] },
    row,
    nowMs,
  ).map(({ key, delta }) => [key, delta])

describe('what token windows are given back', () => {
  it('is what the call did not use, where the target answered that was meant to', () => {
    expect(deltas(answeredBy('openai', 'gpt-4o'))).toEqual([
      [keyOf('own'), -30],
      [keyOf('openai'), -30],
    ])
  })

  it('is everything to the provider that did not answer, and what was used is taken from the one that did', () => {
    expect(deltas(answeredBy('groq', 'llama'))).toEqual([
      [keyOf('own'), -30],
      [keyOf('openai'), -100],
      [keyOf('groq'), 70],
      [keyOf('groq/llama'), 70],
    ])
  })

  it('concerns nobody else', () => {
    expect(deltas(answeredBy('mistral', 'large'))).toEqual([
      [keyOf('own'), -30],
      [keyOf('openai'), -100],
    ])
  })
})
