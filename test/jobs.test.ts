import type { SQL } from 'drizzle-orm'
import { PgDialect } from 'drizzle-orm/pg-core'
import { describe, expect, it } from 'vitest'
import type { Job, JobDeps } from '../src/core/jobs.ts'
import type { RedisCommand } from '../src/core/redis.ts'
import { runDueJobs, runJob } from '../src/jobs.ts'
import { fakeJobDeps, keptLog } from './support/fake-deps.ts'

const at = (hour: number) => Date.UTC(2026, 0, 31, hour, 30)
const dialect = new PgDialect()

/** Dependencies with these organisations, on a clock that the test moves. */
function worldOf(orgIds: readonly string[]) {
  const { log, lines } = keptLog()
  const commands: RedisCommand[] = []
  const state = { nowMs: at(2), postgresAway: false, redisAway: false }
  const query = async (statement: SQL) => {
    if (state.postgresAway) throw new Error('away')
    const [after, limit] = dialect.sqlToQuery(statement).params
    const later = [...orgIds].sort().filter((id) => id > String(after))
    return later.slice(0, Number(limit)).map((id) => ({ id }))
  }
  /** What is left of runs. */
  const left = new Map<string, string>()
  const pipeline = async (given: readonly RedisCommand[]) => {
    if (state.redisAway) throw new Error('away')
    commands.push(...given)
    return given.map((command) => {
      if (command[0] === 'HGETALL') return left.size === 0 ? null : Object.fromEntries(left)
      if (command[0] === 'HSET') for (const [name, value] of Object.entries(command[2])) left.set(name, value)
      if (command[0] === 'HDEL') for (const name of command[2]) left.delete(name)
      return 1
    })
  }
  const redis = { pipeline, run: () => Promise.reject(new Error('no script')) }
  const deps: JobDeps = fakeJobDeps({ log, redis, system: { query }, now: () => state.nowMs })
  return { deps, state, lines, commands, left }
}

const job = (name: string, rest: Partial<Job> = {}): Job => ({
  name,
  hourUtc: 2,
  run: async () => ({ done: 0, failed: 0 }),
  ...rest,
})

const orgIds = (count: number) => Array.from({ length: count }, (_, at) => `org_${String(at).padStart(5, '0')}`)

describe('what is due', () => {
  it('is what names the hour, and what is due every hour', async () => {
    const all = [job('nightly'), job('hourly', { hourUtc: 'every' }), job('later', { hourUtc: 3 })]
    const names = async (hour: number) => {
      const { deps, lines } = worldOf([])
      await runDueJobs(deps, all, at(hour))
      return lines.map(({ facts }) => facts.name)
    }
    expect(await names(2)).toEqual(['nightly', 'hourly'])
    expect(await names(3)).toEqual(['hourly', 'later'])
    expect(await names(14)).toEqual(['hourly'])
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

  it('has its turn in the next hour, though the others are not done', async () => {
    const { deps, state } = worldOf([])
    const begun: string[] = []
    const endless = (name: string, limitMs: number) =>
      job(name, {
        limitMs,
        run: async (_deps, { deadlineMs }) => {
          begun.push(name)
          state.nowMs = deadlineMs
          throw new Error('not done')
        },
      })
    const all = [endless('first', 4 * 60_000), endless('second', 10 * 60_000), endless('third', 60_000)]
    for (const hour of [2, 3, 4]) {
      state.nowMs = at(hour)
      await runDueJobs(deps, all, at(hour))
    }
    expect(begun.join(' ')).toBe('first second third first second first second')
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
    expect(outcome).toEqual({ done: 1083, failed: 120, rest: undefined })
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

  it('begins nothing after its time, and goes on in the next hours, for the time that it was due', async () => {
    const { deps, state, lines, left } = worldOf(orgIds(700))
    const seen: string[] = []
    const dueTimes = new Set<number>()
    const walk = job('walk', {
      limitMs: 1000,
      run: (_deps, run) => {
        dueTimes.add(run.dueMs)
        return run.eachOrg(async (orgId) => {
          seen.push(orgId)
          state.nowMs += 4
        })
      },
    })
    for (let hour = 2; hour < 6; hour++) await runDueJobs(deps, [walk], at(hour))
    expect(seen).toEqual(orgIds(700))
    expect([...dueTimes]).toEqual([at(2)])
    expect(lines.filter(({ event }) => event === 'job_out_of_time').map(({ facts }) => facts.left_after)).toEqual([
      'org_00249',
      'org_00499',
    ])
    expect(lines.filter(({ event }) => event === 'job_finished').map(({ facts }) => facts.done)).toEqual([
      250, 250, 200,
    ])
    expect(left.size).toBe(0)
  })

  it('begins anew when it is due again, and one of every hour comes round', async () => {
    const { deps, state } = worldOf(orgIds(10))
    const seen: Record<string, string[]> = { daily: [], hourly: [] }
    const slow = (name: string, hourUtc: Job['hourUtc']) =>
      job(name, {
        hourUtc,
        limitMs: 3,
        run: (_deps, run) =>
          run.eachOrg(async (orgId) => {
            seen[name]?.push(orgId.slice(-1))
            state.nowMs += 1
          }),
      })
    const jobs = [slow('daily', 2), slow('hourly', 'every')]
    for (const hour of [2, 2, 3, 4, 5]) await runDueJobs(deps, jobs, at(hour))
    expect(seen.daily?.join('')).toBe('0120123456789')
    expect(seen.hourly?.join('')).toBe('0123456789012')
  })

  it('that failed as a whole is tried again in the next hour', async () => {
    const { deps, state, lines } = worldOf(orgIds(3))
    const walk = job('walk', { run: (_deps, run) => run.eachOrg(async () => {}) })
    state.postgresAway = true
    await runDueJobs(deps, [walk], at(2))
    state.postgresAway = false
    for (const hour of [3, 4]) await runDueJobs(deps, [walk], at(hour))
    expect(lines.map(({ event, facts }) => [event, facts.done])).toEqual([
      ['job_failed', undefined],
      ['job_finished', 0],
      ['job_finished', 3],
    ])
  })

  it('is not failed by a Redis that is away', async () => {
    const { deps, state, lines } = worldOf(orgIds(2))
    state.redisAway = true
    const walk = job('walk', { run: (_deps, run) => run.eachOrg(async () => {}) })
    await runDueJobs(deps, [walk], at(2))
    expect(lines.map(({ event, facts }) => [event, facts.done])).toEqual([
      ['jobs_left_unknown', undefined],
      ['job_finished', 2],
      ['job_counters_lost', undefined],
    ])
  })
})
