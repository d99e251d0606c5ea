import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Ask, Limit } from '../../../src/core/admission.ts'
import type { RedisCommand } from '../../../src/core/redis.ts'
import { redisKeys } from '../../../src/features/admission/keys.ts'
import { peek } from '../../../src/features/admission/peek.ts'
import { figuresByTarget, statesByTarget } from '../../../src/features/admission/targets.ts'
import { count } from '../../support/lane.ts'
import { backends, type RedisBackend } from './backends.ts'
import { callerOf, requests, START_MS } from './script-caller.ts'

/** Unix ms around now, or nothing. */
const aTime = fc.option(
  fc.integer({ min: -3, max: 3 }).map((seconds) => START_MS + seconds * 1000),
  { nil: undefined },
)

const aTarget = fc.record({
  u: aTime,
  c: aTime,
  p1: aTime,
  p2: aTime,
  p3: aTime,
  figures: fc.boolean(),
  output: fc.boolean(),
  busy: fc.array(fc.record({ calls: fc.integer({ min: 0, max: 9 }), ageMs: fc.constantFrom(0, 9_999, 10_000) }), {
    maxLength: 3,
  }),
})

const someLimits = fc.array(
  fc.record({
    target: fc.constantFrom('a', 'b'),
    algorithm: fc.constantFrom('token_bucket', 'sliding_window', 'fixed_window'),
    metric: fc.constantFrom('requests', 'tokens'),
    mode: fc.constantFrom('enforce', 'monitor'),
  } as const),
  { maxLength: 3 },
)

const limitOf = (
  { algorithm, ...given }: { target: string } & Pick<Limit, 'algorithm' | 'metric' | 'mode'>,
  at: number,
) => ({
  ...requests(2, 2),
  ...given,
  id: `lim_${at}`,
  subject: 'provider' as const,
  algorithm: given.metric === 'tokens' && algorithm === 'token_bucket' ? ('sliding_window' as const) : algorithm,
  ...(algorithm === 'fixed_window' && { window: 'day' as const }),
})

const fieldsOf = (fields: Readonly<Record<string, number | undefined>>): Record<string, string> =>
  Object.fromEntries(Object.entries(fields).flatMap(([name, at]) => (at === undefined ? [] : [[name, String(at)]])))

describe.each(backends)('a look at targets on $name', ({ start }) => {
  let backend: RedisBackend

  beforeAll(async () => {
    backend = await start()
  })
  afterAll(() => backend?.stop())

  it('shows what the script would tell, and changes nothing', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(aTarget, { minLength: 1, maxLength: 4 }),
        someLimits,
        fc.integer({ min: 0, max: 3 }),
        async (targets, given, calls) => {
          const { run, policy, name } = await callerOf(backend, given.map(limitOf))
          const candidates = targets.map((_, at) => `${at % 2 === 0 ? 'a' : 'b'}/m${name}-${at}`)
          const ask: Ask = {
            tokens: 1,
            candidates,
            figures: { taskType: 'code' },
            busy: { isolate: 'iso_me', counts: candidates.map((_, at) => at) },
            turn: `org:turn:${name}`,
          }
          for (let at = 0; at < calls; at += 1) await run(START_MS - 10, { ...ask, busy: undefined, turn: undefined })
          const commands = targets.flatMap(({ figures, output, busy, ...times }, at): RedisCommand[] => {
            const [id, standing] = [candidates[at] ?? '', fieldsOf(times)]
            const told = busy.map(({ calls: under, ageMs }, no) => [`iso_${no}`, `${under}:${START_MS - ageMs}`])
            const measured = {
              ...(figures && { f: `[${START_MS},9,1000,2000,300,50,1,9,0,0]` }),
              ...(output && { 'o:code': '70' }),
            }
            return [
              ...(Object.keys(standing).length > 0 ? [['HSET', redisKeys.target(id), standing] as const] : []),
              ...(figures || output ? [['HSET', redisKeys.figures(id), measured] as const] : []),
              ...(told.length > 0 ? [['HSET', redisKeys.busy(id), Object.fromEntries(told)] as const] : []),
            ]
          })
          if (commands.length > 0) await backend.redis.pipeline(commands)
          const look = () => peek({ redis: backend.redis, now: () => START_MS }, policy, ask)
          const seen = await look()
          expect(await look()).toEqual(seen)
          const reply = await run(START_MS, ask)
          if (reply.kind === 'refused') {
            const isOut = (target: string) => seen.usedUp?.has(target) || seen.openBreakers.has(target)
            expect(
              candidates.filter((target) => !isOut(target) && seen.states?.get(target)?.kind !== 'cooling'),
            ).toEqual([])
            return
          }
          if (reply.kind !== 'admitted') throw new Error(`it was ${reply.kind}`)
          const { openBreakers, states } = statesByTarget(ask, reply.states)
          expect({ openBreakers: seen.openBreakers, states: seen.states }).toEqual({ openBreakers, states })
          expect(seen.figures).toEqual(figuresByTarget(ask, reply.figures, START_MS))
          expect(seen.turn).toBe(reply.turn)
          const used = candidates.filter((_, at) => reply.usedUp[at] !== undefined)
          expect([...(seen.usedUp?.keys() ?? [])]).toEqual(used)
        },
      ),
      { numRuns: count(12, 2000) },
    )
  })
})
