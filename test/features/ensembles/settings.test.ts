import { describe, expect, it } from 'vitest'
import { settingsOf } from '../../../src/features/ensembles/settings.ts'

describe('the time of a round', () => {
  it.each([
    ['whole', undefined, undefined, false, 60_000],
    ['streamed', undefined, undefined, true, 120_000],
    ['whole, with a time that the call names', 1000, 300_000, false, 1000],
    ['streamed, with a time that the call names', 1000, 300_000, true, 1000],
    ['streamed, with a time that its organisation names', undefined, 5000, true, 5000],
  ])('of an answer %s', (_form, asked, own, isStream, timeoutMs) => {
    const settings = settingsOf({ timeout_ms: asked }, own === undefined ? undefined : { timeout_ms: own }, {
      isStream,
    })
    expect(settings.timeoutMs).toBe(timeoutMs)
  })
})
