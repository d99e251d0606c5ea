import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { admissionScript } from '../../../src/features/admission/script.ts'
import { readReply, scriptInput } from '../../../src/features/admission/script-call.ts'
import { fakePolicy } from '../../support/fake-deps.ts'
import { backends, type RedisBackend } from './backends.ts'
import { START_MS, tokens } from './script-caller.ts'

describe.each(backends)('the admission script for a policy that is known to hold on $name', ({ start }) => {
  let backend: RedisBackend

  beforeAll(async () => {
    backend = await start()
  })
  afterAll(() => backend?.stop())

  it('reads no record, and counts and refuses as for any other', async () => {
    const policy = fakePolicy({ orgId: 'org_within', limits: [tokens(25)] })
    const run = async () => {
      const ask = { tokens: 10, candidates: ['a/b'] }
      const { keys, args } = scriptInput({ record: undefined, policy, ask, hold: undefined, nowMs: START_MS })
      return readReply(await backend.redis.run(admissionScript, keys, args), policy, ask)
    }
    expect(await run()).toMatchObject({ kind: 'admitted', rates: [{ remaining: 15 }], states: [undefined] })
    expect(await run()).toMatchObject({ kind: 'admitted', rates: [{ remaining: 5 }] })
    expect(await run()).toMatchObject({ kind: 'refused', limit: { id: 'tokens' } })
  })
})
