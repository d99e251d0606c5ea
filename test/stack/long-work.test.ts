import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { OFTEN } from '../../src/jobs.ts'
import { type Stack, startStack } from '../support/stack.ts'

const Job = z.object({
  id: z.string(),
  status: z.string(),
  progress: z.number(),
  result: z.record(z.string(), z.unknown()).optional(),
})
const later = { headers: { prefer: 'respond-async' } }
const rules = { policy: { strategy: 'cost' } }
const WAIT = { timeout: 40_000, interval: 100 }

let stack: Stack
let folder: string
let apiKey: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'helix-work-'))
  stack = await startStack({ persistTo: folder })
  apiKey = (await stack.org({ scopes: ['routing:write'] })).apiKey
})
afterAll(async () => {
  await stack?.close()
  await rm(folder, { recursive: true, force: true })
})

async function begin(): Promise<z.output<typeof Job>> {
  const answer = await stack.call(apiKey, '/api/v1/routing/replay', rules, later)
  expect(answer.status).toBe(202)
  const job = Job.parse(await answer.json())
  expect(answer.headers.get('location')).toBe(`/api/v1/jobs/${job.id}`)
  return job
}

const see = async ({ id }: { id: string }) => Job.parse(await (await stack.call(apiKey, `/api/v1/jobs/${id}`)).json())
const untilDone = (job: { id: string }) => expect.poll(async () => (await see(job)).status, WAIT).toBe('completed')
const sweep = () => stack.tick(Date.now(), OFTEN)

/** A job that somebody has begun and gone silent about, and that no message names any more. */
async function abandoned(): Promise<{ id: string }> {
  const job = await begin()
  await untilDone(job)
  await stack.query(
    `update jobs set status = 'running', progress = 0, result = null, finished_at = null, lease_id = 'lea_gone',
       lease_until = 1, sent_at = 1 where id = $1`,
    [job.id],
  )
  return job
}

describe('a call that is answered later', () => {
  it('comes to what the call would have answered, and leaves that one as it was', async () => {
    const job = await begin()
    await untilDone(job)
    const now = await stack.call(apiKey, '/api/v1/routing/replay', rules)
    expect(now.status).toBe(200)
    const { from: _from, to: _to, ...answered } = z.record(z.string(), z.unknown()).parse(await now.json())
    expect(await see(job)).toMatchObject({ progress: 1, result: answered })
  })

  it('is nobody else’s: of another organisation, and of another key', async () => {
    const job = await begin()
    const { apiKey: other } = await stack.org({ scopes: ['*:*'] })
    for (const method of ['GET', 'DELETE']) {
      expect((await stack.call(other, `/api/v1/jobs/${job.id}`, undefined, { method })).status).toBe(404)
    }
    const list = z.object({ data: z.array(z.unknown()) })
    expect(list.parse(await (await stack.call(other, '/api/v1/jobs')).json()).data).toEqual([])
    await untilDone(job)
    expect((await stack.call(apiKey, `/api/v1/jobs/${job.id}`, undefined, { method: 'DELETE' })).status).toBe(409)
  })
})

describe('what a queue has lost', () => {
  it('is sent again by the clock, and a cancelled job is not', async () => {
    const [lost, cancelled] = [await abandoned(), await abandoned()]
    const gone = await stack.call(apiKey, `/api/v1/jobs/${cancelled.id}`, undefined, { method: 'DELETE' })
    expect(gone.status).toBe(204)
    await sweep()
    await untilDone(lost)
    expect((await see(cancelled)).status).toBe('cancelled')
  })

  it('with the machine that worked on it is done by another, once', async () => {
    const statusOf = async ({ id }: { id: string }) =>
      (await stack.query('select status from jobs where id = $1', [id]))[0]?.status
    // Slow enough to be met in the middle of its work.
    stack.postgres.mode(500)
    const job = await begin()
    await expect.poll(() => statusOf(job), WAIT).toBe('running')
    stack.kill()
    stack.postgres.mode('pass')
    await stack.restart()
    expect(await statusOf(job)).toBe('running')
    await sweep()
    expect(await see(job)).toMatchObject({ status: 'running' })
    await stack.query('update jobs set lease_until = 1, sent_at = 1 where id = $1', [job.id])
    await sweep()
    await sweep()
    await untilDone(job)
    expect(await stack.query('select attempts from jobs where id = $1', [job.id])).toEqual([{ attempts: 2 }])
  })
})

describe('an upload', () => {
  const Upload = z.object({ id: z.string(), status: z.string(), upload_url: z.string(), sha256: z.string().nullable() })
  const announce = async (size_bytes: number) =>
    Upload.parse(await (await stack.call(apiKey, '/api/v1/uploads', { filename: 'a.bin', size_bytes })).json())
  const send = (url: string, body: Uint8Array<ArrayBuffer>) =>
    stack.call(apiKey, url, undefined, { method: 'PUT', body, headers: { 'content-type': 'application/octet-stream' } })

  it('larger than any body is kept as it came, and is gone when it is over', async () => {
    const bytes = crypto.getRandomValues(new Uint8Array(65_536))
    const large = new Uint8Array(12 * 1024 * 1024).map((_byte, at) => bytes[at % bytes.length] ?? 0)
    const upload = await announce(large.length)
    const answer = await send(upload.upload_url, large)
    expect(answer.status).toBe(200)
    const digest = Buffer.from(await crypto.subtle.digest('SHA-256', large)).toString('hex')
    expect(Upload.parse(await answer.json())).toMatchObject({ status: 'ready', sha256: digest })
    expect((await send(upload.upload_url, large)).status).toBe(409)
    await stack.query('update uploads set expires_at = 1 where id = $1', [upload.id])
    expect((await stack.call(apiKey, `/api/v1/uploads/${upload.id}`)).status).toBe(404)
    await sweep()
    expect(await stack.query('select id from uploads where id = $1', [upload.id])).toEqual([])
  })

  it('is where a large result is read from, and removed with its job', async () => {
    const job = await begin()
    await untilDone(job)
    const result = { text: 'x'.repeat(300_000) }
    const upload = await announce(400_000)
    await send(upload.upload_url, Uint8Array.from(Buffer.from(JSON.stringify(result))))
    const move = `update jobs set result = null, result_key = org_id || '/uploads/' || $2 || '/1' where id = $1`
    await stack.query(move, [job.id, upload.id])
    expect((await see(job)).result).toEqual(result)
    await stack.query('update jobs set expires_at = 1 where id = $1', [job.id])
    expect((await stack.call(apiKey, `/api/v1/jobs/${job.id}`)).status).toBe(404)
    await sweep()
    expect(await stack.query('select id from jobs where id = $1', [job.id])).toEqual([])
  })

  it('takes no more than was announced', async () => {
    const upload = await announce(10)
    expect((await send(upload.upload_url, new Uint8Array(11))).status).toBe(413)
    expect((await send(upload.upload_url, new Uint8Array(10))).status).toBe(200)
  })
})
