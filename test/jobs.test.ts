import type { SQL } from 'drizzle-orm'
import { PgDialect } from 'drizzle-orm/pg-core'
import { describe, expect, it } from 'vitest'
import type { Job, JobDeps } from '../src/core/jobs.ts'
import type { RedisCommand } from '../src/core/redis.ts'
import { dueJobs, runDueJobs, runJob } from '../src/jobs.ts'
import { fakeJobDeps, keptLog } from './support/fake-deps.ts'

const at = (hour: number) => Date.UTC(2026, 0, 31, hour, 30)
const dialect = new PgDialect()

/** Dependencies with these organisations, on a clock that the test moves. */
function worldOf(orgIds: readonly string[]) {
  const { log, lines } = keptLog()
  const commands: RedisCommand[] = []
  const state = { nowMs: at(2), queries: 0, redisAway: false }
  const query = async (statement: SQL) => {
    state.queries += 1
    const { sql, params } = dialect.sqlToQuery(statement)
    const [after, limit] = params
    const later = [...orgIds].sort().filter((id) => id > String(after))
    if (sql.startsWith('select count')) return [{ left: later.length }]
    return later.slice(0, Number(limit)).map((id) => ({ id }))
  }
  const pipeline = async (given: readonly RedisCommand[]) => {
    if (state.redisAway) throw new Error('away')
    commands.push(...given)
    return []
  }
  const redis = { pipeline, run: () => Promise.reject(new Error('no script')) }
  const deps: JobDeps = fakeJobDeps({ log, redis, system: { query }, now: () => state.nowMs })
  return { deps, state, lines, commands }
}

const job = (name: string, rest: Partial<Job> = {}): Job => ({
  name,
  hourUtc: 2,
  run: async () => ({ done: 0, failed: 0 }),
  ...rest,
})

const orgIds = (count: number) => Array.from({ length: count }, (_, at) => `org_${String(at).padStart(5, '0')}`)

describe('what is due', () => {
  it('is what names the hour, and what is due every hour', () => {
    const all = [job('nightly'), job('hourly', { hourUtc: 'every' }), job('later', { hourUtc: 3 })]
    const names = (hour: number) => dueJobs(all, at(hour)).map(({ name }) => name)
    expect(names(2)).toEqual(['nightly', 'hourly'])
    expect(names(3)).toEqual(['hourly', 'later'])
    expect(names(14)).toEqual(['hourly'])
  })

  it('runs in its order, whatever fails', async () => {
    const { deps, lines } = worldOf([])
    const ran: string[] = []
    const noting = (name: string) =>
      job(name, {
        run: async () => {
          ran.push(name)
          if (name === 'first') throw new Error('broken')
          return { done: 1, failed: 0 }
        },
      })
    await runDueJobs(deps, [noting('first'), noting('second')], at(2))
    expect(ran).toEqual(['first', 'second'])
    expect(lines.map(({ event, facts }) => [event, facts.name, facts.failed])).toEqual([
      ['job_failed', 'first', undefined],
      ['job_finished', 'first', 1],
      ['job_finished', 'second', 0],
    ])
  })

  it('is left out, and said so, when the jobs before it took all the time there is', async () => {
    const { deps, state, lines } = worldOf([])
    const slow = job('slow', {
      run: async () => {
        state.nowMs += 15 * 60_000
        return { done: 1, failed: 0 }
      },
    })
    await runDueJobs(deps, [slow, job('next')], at(2))
    expect(lines.at(-1)).toMatchObject({ level: 'error', event: 'job_skipped', facts: { name: 'next' } })
  })
})

describe('a job over all organisations', () => {
  it('reaches each of them once, whichever fails, and tells how it went', async () => {
    const ids = orgIds(1203)
    const { deps, lines, commands } = worldOf(ids)
    const seen: string[] = []
    const outcome = await runJob(
      deps,
      job('walk', {
        run: (_deps, run) =>
          run.eachOrg(async (orgId) => {
            seen.push(orgId)
            if (orgId.endsWith('7')) throw new Error('no')
          }),
      }),
      { dueMs: at(2) },
    )
    expect(seen.toSorted()).toEqual(ids)
    expect(outcome).toEqual({ done: 1083, failed: 120 })
    expect(lines.filter(({ event }) => event === 'job_org_failed')).toHaveLength(120)
    expect(lines.at(-1)).toMatchObject({
      level: 'info',
      event: 'job_finished',
      facts: { name: 'walk', ms: 0, done: 1083, failed: 120, system_queries: 3 },
    })
    expect(commands).toEqual([
      ['HINCRBY', 'metrics', 'helix_jobs_total{job="walk"}', 1],
      ['HINCRBY', 'metrics', 'helix_job_failures_total{job="walk"}', 120],
      ['HINCRBY', 'metrics', 'helix_system_queries_total{job="walk"}', 3],
    ])
  })

  it('works on four at a time', async () => {
    const { deps } = worldOf(orgIds(20))
    let under = 0
    let most = 0
    const work = async () => {
      under += 1
      most = Math.max(most, under)
      await new Promise((resolve) => setImmediate(resolve))
      under -= 1
    }
    await runJob(deps, job('walk', { run: (_deps, run) => run.eachOrg(work) }), { dueMs: at(2) })
    expect(most).toBe(4)
  })

  it('begins nothing after its time, and says how many are left', async () => {
    const { deps, state, lines } = worldOf(orgIds(700))
    const outcome = await runJob(
      deps,
      job('walk', {
        limitMs: 1000,
        run: (_deps, run) =>
          run.eachOrg(async () => {
            state.nowMs += 100
          }),
      }),
      { dueMs: at(2) },
    )
    expect(outcome).toEqual({ done: 10, failed: 0 })
    expect(lines[0]).toMatchObject({ level: 'error', event: 'job_out_of_time', facts: { name: 'walk', left: 690 } })
  })

  it('is not failed by a Redis that is away', async () => {
    const { deps, state, lines } = worldOf(orgIds(2))
    state.redisAway = true
    const walk = job('walk', { run: (_deps, run) => run.eachOrg(async () => {}) })
    expect(await runJob(deps, walk, { dueMs: at(2) })).toEqual({ done: 2, failed: 0 })
    expect(lines.map(({ event }) => event)).toEqual(['job_finished', 'job_counters_lost'])
  })
})
