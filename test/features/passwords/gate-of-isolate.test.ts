import { expect, it } from 'vitest'
import { createMemory } from '../../../src/core/memory.ts'
import { enterHashGate, hashWaitSeconds } from '../../../src/features/passwords/service.ts'

it('an isolate begins five hashes a second, whoever asks for them, and another isolate its own', () => {
  const [memory, now] = [createMemory(), () => 1_000_000]
  for (let at = 0; at < 5; at++) enterHashGate({ memory, now })
  expect(() => enterHashGate({ memory, now })).toThrow(
    expect.objectContaining({ code: 'rate_limit_exceeded', retryAfterSeconds: 1 }),
  )
  expect(hashWaitSeconds({ memory, now })).toBe(1)
  expect(hashWaitSeconds({ memory, now: () => 1_001_001 })).toBe(0)
  enterHashGate({ memory: createMemory(), now })
})
