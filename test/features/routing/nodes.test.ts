import { describe, expect, it } from 'vitest'
import { UpstreamError } from '../../../src/core/models.ts'
import { isStale } from '../../../src/features/routing/listing.ts'
import {
  knowsEnough,
  learnNodes,
  listingOf,
  refreshNodes,
  relearnNodes,
  requireTargets,
  type Wanted,
} from '../../../src/features/routing/service.ts'
import { fakeDeps, fakePolicy } from '../../support/fake-deps.ts'
import { live, node, provider } from './world.ts'

/** A gateway with a vendor and a node whose answer to "what do you have" the test decides, on a clock of its own. */
function start(first: string[] | 'gone') {
  let [answer, nowMs, asked] = [first, 1_000_000, 0]
  const gpu = node('gpu', async () => {
    asked += 1
    if (answer === 'gone') throw new UpstreamError('connect', 'gone')
    return answer.map((name) => ({ name }))
  })
  const deferred: Promise<unknown>[] = []
  const providers = new Map([provider('openai'), gpu].map((one) => [one.name, one]))
  const ctx = {
    ...fakeDeps({ providers, now: () => nowMs }),
    defer: (work: Promise<unknown>) => void deferred.push(work),
    admission: {
      policy: fakePolicy(),
      held: false,
      openBreakers: new Map(),
      cached: undefined,
      tokenCharges: [],
      requests: undefined,
      tokens: undefined,
    },
  }
  return {
    ctx,
    gpu,
    asked: () => asked,
    answers: (next: string[] | 'gone') => {
      answer = next
    },
    pass: (ms: number) => {
      nowMs += ms
    },
    settle: async () => {
      while (deferred.length > 0) await Promise.all(deferred.splice(0))
    },
  }
}

const chat = (model: string, rest: Partial<Wanted> = {}): Wanted => ({ model, kind: 'chat', ...rest })
const refusalOf = (ask: () => unknown) => {
  try {
    ask()
  } catch (error) {
    return error
  }
  throw new Error('it was not refused')
}

describe('a cold isolate', () => {
  it('asks the nodes only for a call that no vendor can answer', async () => {
    const { ctx } = start(['m:1b'])
    expect(knowsEnough(ctx, live, chat('gpt-4o'))).toBe(true)
    expect(knowsEnough(ctx, live, chat('auto'))).toBe(true)
    expect(knowsEnough(ctx, live, chat('m:1b'))).toBe(false)
    expect(knowsEnough(ctx, { ...live, mode: 'test' }, chat('auto'))).toBe(false)
    await learnNodes(ctx)
    expect(requireTargets(ctx, chat('m:1b')).map(({ id }) => id)).toEqual(['gpu/m:1b'])
  })

  it('does not ask twice, and does not ask a node again that was silent a moment ago', async () => {
    const { ctx, asked } = start('gone')
    await learnNodes(ctx)
    await learnNodes(ctx)
    expect(asked()).toBe(1)
  })
})

describe('a list', () => {
  it("is fetched again behind the caller's back after 30 seconds, or 5 when the node was silent", async () => {
    const { ctx, gpu, asked, answers, pass, settle } = start(['m:1b'])
    await learnNodes(ctx)
    refreshNodes(ctx)
    pass(30_000)
    refreshNodes(ctx)
    expect(asked()).toBe(1)
    pass(1)
    answers('gone')
    refreshNodes(ctx)
    refreshNodes(ctx)
    await settle()
    expect(asked()).toBe(2)
    expect(listingOf(ctx, gpu)).toMatchObject({ failed: true, models: [{ name: 'm:1b' }] })
    pass(5001)
    answers(['other:1b'])
    refreshNodes(ctx)
    await settle()
    expect(listingOf(ctx, gpu)).toMatchObject({ failed: false, models: [{ name: 'other:1b' }] })
  })

  it('that was being fetched by a request that died is fetched again', () => {
    const listing = { models: [], fetchedMs: 0, failed: false, refreshing: true }
    expect([isStale(listing, 31_000), isStale(listing, 60_001)]).toEqual([false, true])
    expect(isStale(undefined, 0)).toBe(true)
  })

  it('is asked for again by those who want to know now, unless it is young', async () => {
    const { ctx, asked, pass } = start(['m:1b'])
    await relearnNodes(ctx, 5000)
    await relearnNodes(ctx, 5000)
    expect(asked()).toBe(1)
    pass(5001)
    await relearnNodes(ctx, 5000)
    expect(asked()).toBe(2)
  })
})

describe('no target', () => {
  it('because its node does not answer is 503, and the node is asked again for the next caller', async () => {
    const { ctx, answers, pass, settle } = start('gone')
    await learnNodes(ctx)
    const refused = () => refusalOf(() => requireTargets(ctx, chat('m:1b')))
    expect(refused()).toMatchObject({
      code: 'no_capable_model',
      retryAfterSeconds: 5,
      details: { capability: 'completion' },
    })
    answers(['m:1b'])
    pass(5001)
    expect(refused()).toMatchObject({ code: 'no_capable_model' })
    await settle()
    expect(requireTargets(ctx, chat('m:1b'))).toHaveLength(1)
  })

  it('of a name that the silent node never had is 404', async () => {
    const { ctx, answers, pass, settle } = start(['m:1b'])
    await learnNodes(ctx)
    answers('gone')
    pass(30_001)
    refreshNodes(ctx)
    await settle()
    expect(refusalOf(() => requireTargets(ctx, chat('m:1b')))).toMatchObject({ status: 503 })
    expect(refusalOf(() => requireTargets(ctx, chat('gpu/m:1b')))).toMatchObject({ status: 503 })
    expect(refusalOf(() => requireTargets(ctx, chat('else:1b')))).toMatchObject({ status: 404 })
    expect(refusalOf(() => requireTargets(ctx, chat('m:1b', { provider: 'openai' })))).toMatchObject({ status: 404 })
  })

  it.each([
    [chat('no-such-model'), 404, 'model_not_found', 'model'],
    [chat('gpt-4o', { provider: 'acme' }), 404, 'model_not_found', 'provider'],
    [chat('text-embedding-3-small'), 400, 'wrong_capability', 'model'],
    [{ model: 'gpt-4o', kind: 'embedding' } as const, 400, 'wrong_capability', 'model'],
  ])('of %j is %i %s', async (wanted, status, code, param) => {
    const { ctx } = start([])
    await learnNodes(ctx)
    expect(refusalOf(() => requireTargets(ctx, wanted))).toMatchObject({ status, code, param })
  })

  it('for auto that can do what is needed is 503 with the capability', async () => {
    const { ctx } = start([])
    await learnNodes(ctx)
    const wanted = chat('auto', { needs: ['vision'], provider: 'gpu' })
    expect(refusalOf(() => requireTargets(ctx, wanted))).toMatchObject({
      code: 'no_capable_model',
      details: { capability: 'vision' },
    })
  })
})
