import { describe, expect, it } from 'vitest'
import { UpstreamError } from '../../../src/core/models.ts'
import { cooldownMs, coolUntilMs, noteCooldown, usableOf } from '../../../src/features/providers/cooldown.ts'
import { START_MS, startWorld } from './world.ts'

const credential = (given: { cooldownUntil?: number; updatedAt?: number } = {}) => ({
  id: 'pcr_1',
  sealed: 'v1.1.a.b',
  updatedAt: START_MS / 1000,
  ...given,
})

describe('a failure', () => {
  const status = (code: number, more: { retryAfterMs?: number; vendorCode?: string } = {}) =>
    new UpstreamError('status', 'failed', {
      status: code,
      retryAfterMs: more.retryAfterMs,
      ...(more.vendorCode && { vendor: { message: 'm', code: more.vendorCode } }),
    })

  it.each([
    [401, {}, 300_000, 300_000],
    [402, {}, 300_000, 300_000],
    [403, {}, 300_000, 300_000],
    [429, { vendorCode: 'insufficient_quota' }, 300_000, 300_000],
    [429, {}, 60_000, undefined],
    [429, { retryAfterMs: 20_000 }, 20_000, undefined],
    [429, { retryAfterMs: 9_000_000 }, 300_000, undefined],
    [429, { retryAfterMs: 2000 }, undefined, undefined],
    [400, {}, undefined, undefined],
    [404, {}, undefined, undefined],
    [500, {}, undefined, undefined],
    [529, {}, undefined, undefined],
  ])('of status %i (%j) puts a credential aside for %s ms, the only one for %s', (code, more, ofMany, ofOne) => {
    expect([cooldownMs(status(code, more), true), cooldownMs(status(code, more), false)]).toEqual([ofMany, ofOne])
  })

  it.each([
    [403, 'Your chosen model requires moderation and your input was flagged for "violence".', undefined, undefined],
    [403, 'Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_CSAM', undefined, undefined],
    [403, 'Input token count + max_tokens parameter must be less than the context length', undefined, undefined],
    [402, 'This request requires more credits, or fewer max_tokens. You can only afford 12.', undefined, undefined],
    [403, 'Project `[redacted]` does not have access to model `gpt-4o`', 5000, undefined],
    [403, 'You are not allowed to sample from this model', 5000, undefined],
    [403, 'You have insufficient permissions for this operation. Missing scopes: model.request.', 300_000, 300_000],
    [403, 'Your API key was reported as leaked. Please use another API key.', 300_000, 300_000],
    [402, 'Insufficient Balance', 300_000, 300_000],
    [401, 'The model says that this key is flagged.', 300_000, 300_000],
  ])('of status %i in the words "%s" puts it aside for %s ms, the only one for %s', (code, message, ofMany, ofOne) => {
    const error = new UpstreamError('status', 'failed', { status: code, vendor: { message } })
    expect([cooldownMs(error, true), cooldownMs(error, false)]).toEqual([ofMany, ofOne])
  })

  it.each(['connect', 'timeout', 'garbage', 'cut', 'aborted'] as const)('by %s says nothing about it', (fault) => {
    expect(cooldownMs(new UpstreamError(fault, 'failed'), true)).toBeUndefined()
  })
})

describe('a credential', () => {
  it('rests as long as this isolate saw or the row says, whichever is longer', () => {
    const { deps, clock } = startWorld()
    expect(coolUntilMs(deps, credential())).toBeUndefined()
    noteCooldown(deps, 'pcr_1', START_MS + 5000)
    expect(coolUntilMs(deps, credential())).toBe(START_MS + 5000)
    expect(coolUntilMs(deps, credential({ cooldownUntil: START_MS / 1000 + 9 }))).toBe(START_MS + 9000)
    clock.nowMs += 5000
    expect(coolUntilMs(deps, credential())).toBeUndefined()
    expect(usableOf(deps, { credentials: [credential()] })).toHaveLength(1)
  })

  it('that was changed since is as the change left it', () => {
    const { deps } = startWorld()
    noteCooldown(deps, 'pcr_1', START_MS + 300_000)
    expect(coolUntilMs(deps, credential({ updatedAt: START_MS / 1000 + 1 }))).toBeUndefined()
  })

  it('is not remembered for ever: the oldest of a thousand goes first', () => {
    const { deps } = startWorld()
    for (let at = 0; at < 1500; at += 1) noteCooldown(deps, `pcr_${at}`, START_MS + 1)
    expect(deps.memory.cooldowns.size).toBe(1000)
    expect(deps.memory.cooldowns.has('pcr_1499')).toBe(true)
  })
})
