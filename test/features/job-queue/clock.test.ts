import { describe, expect, it } from 'vitest'
import { LONGEST_JOB_MS, startJob } from '../../../src/features/job-queue/service.ts'
import { jobs } from '../../../src/features/jobs.ts'
import { workHandlers } from '../../../src/features/work.ts'
import { OFTEN, runBy } from '../../../src/jobs.ts'
import { useWorld } from './world.ts'

const world = useWorld()
const names = (cron: string) => runBy(cron, jobs).map(({ name }) => name)

describe('the list of work', () => {
  it('names each kind once, and nothing that a consumer has no time for', () => {
    const kinds = workHandlers.map(({ kind }) => kind)
    expect(new Set(kinds).size).toBe(kinds.length)
    for (const { kind, limitMs } of workHandlers) expect(limitMs, kind).toBeLessThanOrEqual(LONGEST_JOB_MS)
  })
})

describe('the clock', () => {
  it('runs every five minutes what cannot wait, and nothing else then', () => {
    expect(names(OFTEN)).toEqual(['jobs_sent_again', 'jobs_removed', 'uploads_removed'])
    expect(names('30 * * * *')).toContain('recompute')
    expect(names('30 * * * *')).not.toContain('jobs_sent_again')
  })
})

async function begin() {
  const isolate = world.isolate()
  const { orgId, keyId } = await world.org()
  const ctx = isolate.ctxOf({ orgId, keyId })
  const { id } = await startJob(ctx, { kind: 'test.work', input: {} })
  await isolate.settled()
  const sent = () => isolate.queue.splice(0).filter(({ message }) => message.job_id === id).length
  expect(sent()).toBe(1)
  const minutes = async (count: number) => {
    isolate.clock.ms += count * 60_000
    await isolate.sweep()
    return sent()
  }
  return { isolate, id, minutes }
}

describe('a message that was lost', () => {
  it('is sent again after a minute, and then ever more seldom', async () => {
    const { minutes } = await begin()
    expect(await minutes(0.5)).toBe(0)
    expect(await minutes(5)).toBe(1)
    const counts: number[] = []
    for (let sweep = 0; sweep < 24; sweep++) counts.push(await minutes(5))
    const total = counts.reduce((sum, count) => sum + count, 0)
    expect(total).toBeGreaterThanOrEqual(3)
    expect(total).toBeLessThan(8)
  })

  it('is sent again where its worker went silent, not while it is being worked on', async () => {
    const { id, isolate, minutes } = await begin()
    const until = Math.floor(isolate.clock.ms / 1000) + 600
    await world.query(`update jobs set status = 'running', lease_until = $2 where id = $1`, [id, until])
    expect(await minutes(5)).toBe(0)
    expect(await minutes(6)).toBe(1)
  })

  it('is not sent for what has ended or is not due', async () => {
    for (const change of [`status = 'cancelled'`, `status = 'completed'`, 'due_at = due_at + 3600']) {
      const { id, minutes } = await begin()
      await world.query(`update jobs set ${change} where id = $1`, [id])
      expect(await minutes(30)).toBe(0)
    }
  })
})

describe('a job that has expired', () => {
  it('is gone, with its result in the bucket', async () => {
    const { id, isolate, minutes } = await begin()
    const { id: kept } = await begin()
    isolate.files.set('org/jobs/result', new Uint8Array(1))
    await world.query(
      `update jobs set status = 'completed', result_key = 'org/jobs/result', expires_at = $2 where id = $1`,
      [id, Math.floor(isolate.clock.ms / 1000) + 60],
    )
    await minutes(0.5)
    expect(isolate.files.size).toBe(1)
    await minutes(5)
    expect(isolate.files.size).toBe(0)
    expect(await world.query('select id from jobs where id = any($1)', [[id, kept]])).toEqual([{ id: kept }])
  })
})
