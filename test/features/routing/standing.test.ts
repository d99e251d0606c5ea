import { expect, it } from 'vitest'
import { nowhere } from '../../../src/features/routing/standing.ts'

it.each([
  ['draining', "Every node of 'gpu/m' is draining."],
  ['breaker_open', "No provider of 'gpu/m' is healthy right now."],
  ['unavailable', "The model 'gpu/m' was taken out of use."],
] as const)('a call that finds every target %s is told so', (reason, message) => {
  expect(nowhere('gpu/m', [{ reason, untilMs: undefined }], 0)).toMatchObject({ code: 'model_overloaded', message })
})

it('nodes that drain beside others that are ill are not what it is told of', () => {
  const obstacles = [
    { reason: 'draining', untilMs: undefined } as const,
    { reason: 'breaker_open', untilMs: 9 } as const,
  ]
  expect(nowhere('gpu/m', obstacles, 0).message).toBe("No provider of 'gpu/m' is healthy right now.")
})
