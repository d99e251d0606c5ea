import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { AppError, DependencyError } from '../../../src/core/errors.ts'
import { cancelJob, readJob } from '../../../src/features/job-queue/rows.ts'
import { type JobHandler, type JobWork, startJob } from '../../../src/features/job-queue/service.ts'
import { useWorld } from './world.ts'

const world = useWorld()

const handler = (run: (work: JobWork<{ word: string }>) => Promise<unknown>, rest: Partial<JobHandler> = {}) =>
  ({ kind: 'test.work', input: z.strictObject({ word: z.string() }), limitMs: 60_000, run, ...rest }) as JobHandler

async function begin(isolate = world.isolate()) {
  const { orgId, keyId } = await world.org()
  const ctx = isolate.ctxOf({ orgId, keyId })
  const job = await startJob(ctx, { kind: 'test.work', input: { word: 'hello' } })
  await isolate.settled()
  const see = () => readJob(ctx, job.id)
  const row = async () => (await world.query('select * from jobs where id = $1', [job.id]))[0] ?? {}
  return { isolate, ctx, job, see, row, orgId, keyId }
}

describe('a job', () => {
  it('is a row before it is a message, and is done as the credential that asked for it', async () => {
    const { isolate, job, see, orgId, keyId } = await begin()
    expect(job).toMatchObject({ object: 'job', kind: 'test.work', status: 'queued', progress: 0 })
    expect(isolate.queue).toEqual([{ message: { job_id: job.id, org_id: orgId }, delaySeconds: 0 }])
    await isolate.work([
      handler(async ({ ctx, input, jobId, progress }) => {
        expect(ctx.caller).toMatchObject({
          orgId,
          keyId,
          kind: 'api_key',
          scopes: expect.arrayContaining(['chat:write']),
        })
        expect(ctx.requestId).toMatch(/^req_/)
        expect(ctx.admission.policy.orgId).toBe(orgId)
        await progress(0.5, { items: 1 })
        expect(await see()).toMatchObject({ status: 'running', progress: 0.5, detail: { items: 1 } })
        return { said: input.word, by: jobId }
      }),
    ])
    expect(await see()).toMatchObject({ status: 'completed', progress: 1, result: { said: 'hello', by: job.id } })
  })

  it('is there although nobody could be told of it', async () => {
    const send = () => Promise.reject(new DependencyError('queue', new Error('away')))
    const { isolate, see } = await begin(world.isolate({ workQueue: { send } }))
    expect(isolate.lines).toMatchObject([{ event: 'job_not_sent' }])
    expect(await see()).toMatchObject({ status: 'queued' })
  })

  it('waits until what was left for later is done', async () => {
    const { isolate } = await begin()
    const done: string[] = []
    await isolate.work([
      handler(async ({ ctx }) => {
        ctx.defer(Promise.resolve().then(() => void done.push('later')))
        ctx.defer(Promise.reject(new Error('broken')))
      }),
    ])
    expect(done).toEqual(['later'])
    expect(isolate.lines.map(({ event }) => event)).toContain('deferred_work_failed')
  })

  it('ends what it has begun and left behind, and waits for what that leaves to do', async () => {
    const { isolate, see } = await begin()
    const done: string[] = []
    const leaves = handler(async ({ ctx }) => {
      const left = new Promise<void>((resolve) => ctx.signal.addEventListener('abort', () => resolve()))
      ctx.defer(left.then(() => ctx.defer(Promise.resolve().then(() => void done.push('booked')))))
      throw new AppError('too_long', 'Too long.')
    })
    await isolate.work([leaves])
    expect(done).toEqual(['booked'])
    expect(await see()).toMatchObject({ status: 'failed', error: { code: 'too_long' } })
  })

  it('is as far as can be told where nobody can tell how far it is', async () => {
    const { isolate, see } = await begin()
    const told: unknown[] = []
    await isolate.work([
      handler(async ({ progress }) => {
        await progress(Number.NaN)
        told.push((await see()).progress)
      }),
    ])
    expect(told).toEqual([0])
  })

  it('has its result in the bucket where that is large, or no row can hold it', async () => {
    for (const result of [{ text: 'x'.repeat(300_000) }, { text: 'a\0b' }, { text: 'half \ud800' }]) {
      const { isolate, see, row, orgId, job } = await begin()
      await isolate.work([handler(async () => result)])
      expect([...isolate.files.keys()]).toEqual([expect.stringContaining(`${orgId}/jobs/${job.id}/`)])
      expect(await row()).toMatchObject({ result: null, result_key: expect.any(String) })
      expect(await see()).toMatchObject({ status: 'completed', result })
    }
  })

  it('fails where its result is larger than an answer can be', async () => {
    const { isolate, see } = await begin()
    await isolate.work([handler(async () => 'x'.repeat(17 * 1024 * 1024))])
    expect(await see()).toMatchObject({ status: 'failed', error: { code: 'too_long', status: 422 } })
  })
})

describe('what went wrong', () => {
  it('is tried again where that may help, later each time, and not for ever', async () => {
    const { isolate, see } = await begin()
    const delays: number[] = []
    for (let attempt = 1; attempt <= 3; attempt++) {
      await isolate.work([
        handler(async () => {
          throw new AppError('provider_error', 'The vendor is \0 ill.')
        }),
      ])
      const next = isolate.queue[0]
      if (next) delays.push(next.delaySeconds)
      isolate.clock.ms += (next?.delaySeconds ?? 0) * 1000
    }
    expect(delays).toEqual([60, 120])
    expect(isolate.queue).toEqual([])
    expect(await see()).toMatchObject({
      status: 'failed',
      error: { code: 'provider_error', message: 'The vendor is  ill.', status: 502 },
    })
  })

  it('is not begun again before its time', async () => {
    const { isolate, see } = await begin()
    let begun = 0
    const fails = handler(async () => {
      begun += 1
      throw new Error('broken')
    })
    await isolate.work([fails])
    await isolate.work([fails])
    expect(begun).toBe(1)
    expect(await see()).toMatchObject({ status: 'queued' })
    expect(await see()).not.toHaveProperty('error')
  })

  it('is the end at once where nothing would change', async () => {
    const { isolate, see } = await begin()
    await isolate.work([
      handler(async () => {
        throw new AppError('too_long', 'Too long.')
      }),
    ])
    expect(await see()).toMatchObject({
      status: 'failed',
      error: { code: 'too_long', message: 'Too long.', status: 422 },
    })
    expect(isolate.queue).toEqual([])
  })

  it('is told without the words of an unknown error', async () => {
    const { isolate, see } = await begin()
    const fails = handler(
      async () => {
        throw new Error('secret')
      },
      { maxAttempts: 1 },
    )
    await isolate.work([fails])
    const seen = await see()
    expect(seen).toMatchObject({ status: 'failed', error: { code: 'internal', status: 500 } })
    expect(JSON.stringify(seen)).not.toContain('secret')
  })

  it('goes on where the attempt before said it was', async () => {
    const { isolate, see } = await begin()
    const details: unknown[] = []
    const steps = handler(async ({ detail, progress }) => {
      details.push(detail)
      await progress(0.3, { at: 3 })
      if (!detail) throw new DependencyError('postgres', new Error('away'))
      return 'done'
    })
    await isolate.work([steps])
    isolate.clock.ms += 60_000
    await isolate.work([steps])
    expect(details).toEqual([undefined, { at: 3 }])
    expect(await see()).toMatchObject({ status: 'completed', result: 'done' })
  })

  it.each([
    ['is revoked', 'update api_keys set revoked_at = 1 where id = $1'],
    ['has ended', 'update api_keys set expires_at = 1 where id = $1'],
    ['has lost the scope', `update api_keys set scopes = '{models:read}' where id = $1`],
  ])('a credential that %s does nothing more', async (_what, change) => {
    const { isolate, see, keyId } = await begin()
    await world.query(change, [keyId])
    let begun = 0
    await isolate.work([handler(async () => void begun++, { scope: 'chat:write' })])
    expect(begun).toBe(0)
    expect(await see()).toMatchObject({ status: 'failed', error: { code: 'permission_denied', status: 403 } })
  })

  it('an input that is not taken any more', async () => {
    const { isolate, see } = await begin()
    await isolate.work([handler(async () => 'done', { input: z.strictObject({ other: z.string() }) })])
    expect(await see()).toMatchObject({ status: 'failed', error: { code: 'invalid_request' } })
  })

  it('a kind that nobody does waits for a release that does it', async () => {
    const { isolate, see } = await begin()
    await isolate.work([])
    expect(await see()).toMatchObject({ status: 'queued' })
    isolate.clock.ms += 60_000
    await isolate.work([handler(async () => 'done')])
    expect(await see()).toMatchObject({ status: 'completed' })
  })
})

describe('a limit of time', () => {
  it('stops who does not end, and the next attempt goes on', async () => {
    const { isolate, see } = await begin()
    let signalled = false
    const endless = handler(
      ({ signal }) =>
        new Promise(() => {
          signal.addEventListener('abort', () => {
            signalled = true
          })
        }),
      { limitMs: 5 },
    )
    await isolate.work([endless])
    expect(signalled).toBe(true)
    expect(isolate.queue).toHaveLength(1)
    isolate.clock.ms += 60_000
    await isolate.work([handler(async () => 'done')])
    expect(await see()).toMatchObject({ status: 'completed', result: 'done' })
  })
})

describe('one job and two workers', () => {
  it('is done by one, though a message comes twice', async () => {
    const { isolate, see } = await begin()
    const message = isolate.queue[0]?.message
    let begun = 0
    const once = handler(async () => {
      begun += 1
      await isolate.work([once], message)
      return begun
    })
    await isolate.work([once], message)
    await isolate.work([once], message)
    expect(begun).toBe(1)
    expect(await see()).toMatchObject({ status: 'completed', result: 1 })
  })

  it('ends once, by who has the lease: the one who went silent counts for nothing', async () => {
    const { isolate, see, job } = await begin()
    const message = isolate.queue[0]?.message
    const silent = Promise.withResolvers<void>()
    const heard: unknown[] = []
    const first = isolate.work(
      [
        handler(async ({ progress }) => {
          await silent.promise
          await progress(0.9).catch((error: unknown) => heard.push(error))
          return { text: 'x'.repeat(300_000) }
        }),
      ],
      message,
    )
    await expect.poll(async () => (await see()).status).toBe('running')
    isolate.clock.ms += 181_000
    await isolate.work([handler(async () => 'second')], message)
    silent.resolve()
    await first
    expect(heard).toMatchObject([{ code: 'conflict' }])
    expect(await see()).toMatchObject({ status: 'completed', result: 'second' })
    expect([...isolate.files.keys()].filter((key) => key.includes(job.id))).toEqual([])
  })

  it('is not begun for ever where everybody who begins it is gone', async () => {
    const { isolate, see, row } = await begin()
    const message = isolate.queue.shift()?.message
    for (let attempt = 1; attempt <= 3; attempt++) {
      await world.query(`update jobs set status = 'running', attempts = $2, lease_until = 1 where id = $1`, [
        message?.job_id,
        attempt,
      ])
    }
    await isolate.work([handler(async () => 'done')], message)
    expect(await row()).toMatchObject({ attempts: 4 })
    expect(await see()).toMatchObject({ status: 'failed', error: { code: 'internal' } })
  })
})

describe('a cancelled job', () => {
  it('is never begun when it waits', async () => {
    const { isolate, ctx, job, see } = await begin()
    await cancelJob(ctx, job.id)
    let begun = 0
    await isolate.work([handler(async () => void begun++)])
    expect(begun).toBe(0)
    expect(await see()).toMatchObject({ status: 'cancelled' })
  })

  it('stops who does it when they next say how far they are', async () => {
    const { isolate, ctx, job, see } = await begin()
    const heard: unknown[] = []
    await isolate.work([
      handler(async ({ progress, signal }) => {
        await cancelJob(ctx, job.id)
        await progress(0.5).catch((error: unknown) => heard.push(error))
        heard.push(signal.aborted)
        return 'too late'
      }),
    ])
    expect(heard).toMatchObject([{ code: 'conflict' }, true])
    const seen = await see()
    expect(seen).toMatchObject({ status: 'cancelled' })
    expect(seen).not.toHaveProperty('result')
  })

  it('is refused where there is nothing left to cancel', async () => {
    const { isolate, ctx, job } = await begin()
    await isolate.work([handler(async () => 'done')])
    await expect(cancelJob(ctx, job.id)).rejects.toMatchObject({ code: 'already_finished', status: 409 })
  })
})

describe('a store that is away', () => {
  it('has the message come again, and the job is done by the next', async () => {
    const { isolate, see } = await begin()
    const message = isolate.queue.shift()?.message
    const away = () => Promise.reject(new DependencyError('postgres', new Error('away')))
    const blind = { ...isolate.deps, db: { query: away, atomically: away } }
    const { runMessage } = await import('../../../src/features/job-queue/run.ts')
    if (!message) throw new Error('nothing was sent')
    await expect(runMessage({ deps: blind, handlers: [] }, message)).rejects.toMatchObject({ dependency: 'postgres' })
    await isolate.work([handler(async () => 'done')], message)
    expect(await see()).toMatchObject({ status: 'completed' })
  })
})
