import { describe, expect, it } from 'vitest'
import type { Ctx } from '../../../src/core/context.ts'
import { cancelJob, listJobs, readJob } from '../../../src/features/job-queue/rows.ts'
import { answerLater, startJob, wantsLater } from '../../../src/features/job-queue/service.ts'
import { MOST_OPEN } from '../../../src/features/job-queue/start.ts'
import { useWorld } from './world.ts'

const world = useWorld()
const page = { limit: 20, order: 'desc', after: undefined } as const

describe('whose jobs', () => {
  it('are seen: by the same key, whoever is signed in as its maker and who may see everything', async () => {
    const isolate = world.isolate()
    const { orgId, keyId } = await world.org()
    const of = (caller: Partial<Ctx['caller']>) => isolate.ctxOf({ orgId, ...caller })
    const mine = of({ keyId, userId: 'usr_mine' })
    const { id } = await startJob(mine, { kind: 'a.kind', input: {} })
    isolate.clock.ms += 1000
    const other = await startJob(of({ keyId: 'key_2' }), { kind: 'b.kind', input: {} })
    const seen = async (ctx: Ctx, query = {}) => (await listJobs(ctx, { ...page, ...query })).map((row) => row.id)

    expect(await seen(mine)).toEqual([id])
    expect(await seen(of({ keyId: 'ses_3', userId: 'usr_mine', kind: 'user' }))).toEqual([id])
    expect(await seen(of({ keyId: 'ses_3', userId: 'usr_2', kind: 'user' }))).toEqual([])
    expect(await seen(of({ keyId: 'key_2' }))).toEqual([other.id])
    for (const scopes of [['*:*'], ['*:read']]) {
      const all = of({ keyId: 'key_9', scopes })
      expect(await seen(all)).toEqual([other.id, id])
      expect(await seen(all, { order: 'asc', after: id })).toEqual([other.id])
      expect(await seen(all, { kind: 'a.kind' })).toEqual([id])
      expect(await seen(all, { status: 'running' })).toEqual([])
    }
    const strangers = [
      of({ keyId: 'key_9', userId: 'usr_mine', scopes: ['chat:write'] }),
      isolate.ctxOf({ orgId: (await world.org()).orgId, keyId, scopes: ['*:*'] }),
    ]
    for (const stranger of strangers) {
      expect(await seen(stranger)).toEqual([])
      await expect(readJob(stranger, id)).rejects.toMatchObject({ status: 404 })
      await expect(cancelJob(stranger, id)).rejects.toMatchObject({ status: 404 })
    }
    await expect(cancelJob(of({ keyId: 'key_9', scopes: ['*:read'] }), id)).rejects.toMatchObject({ status: 404 })
    await cancelJob(of({ keyId: 'key_9', scopes: ['*:*'] }), id)
  })

  it('are a thousand that are not done, of an organisation', async () => {
    const isolate = world.isolate()
    const { orgId, keyId } = await world.org()
    const ctx = isolate.ctxOf({ orgId, keyId })
    const { id } = await startJob(ctx, { kind: 'a.kind', input: {} })
    const more = `insert into jobs (id, org_id, kind, status, input, key_id, key_kind, due_at, expires_at, created_at, updated_at)
      select $1 || n, org_id, kind, case n % 2 when 0 then 'running' else 'queued' end, input, key_id, key_kind, due_at,
        expires_at, created_at, updated_at from jobs, generate_series(2, $3::int) n where id = $2`
    await world.query(more, [orgId, id, MOST_OPEN])
    const start = () => startJob(ctx, { kind: 'b.kind', input: {} })
    await expect(start()).rejects.toMatchObject({ code: 'conflict' })
    expect(await listJobs(ctx, { ...page, kind: 'b.kind' })).toEqual([])
    const other = await world.org()
    await startJob(isolate.ctxOf(other), { kind: 'b.kind', input: {} })
    await cancelJob(ctx, id)
    await start()
    await expect(start()).rejects.toMatchObject({ code: 'conflict' })
  })

  it('are nobody’s who only reads metrics', async () => {
    const ctx = world.isolate().ctxOf({ kind: 'scraper' })
    await expect(startJob(ctx, { kind: 'a.kind', input: {} })).rejects.toMatchObject({ code: 'permission_denied' })
  })
})

describe('an answer that is told later', () => {
  it('is 202 with the job and its place', async () => {
    const isolate = world.isolate()
    const { orgId, keyId } = await world.org()
    const job = await startJob(isolate.ctxOf({ orgId, keyId }), { kind: 'a.kind', input: {} })
    const answer = answerLater(job)
    expect([answer.status, answer.headers.get('location')]).toEqual([202, `/api/v1/jobs/${job.id}`])
    expect(await answer.json()).toEqual(job)
  })

  it.each([
    ['respond-async', true],
    ['wait=10, Respond-Async', true],
    ['respond-async; foo=bar', true],
    ['respond-asynchronously', false],
    ['return=minimal', false],
  ])('is wanted by “%s”: %s', (prefer, isWanted) => {
    expect(wantsLater(new Request('http://gateway', { headers: { prefer } }))).toBe(isWanted)
  })
})
