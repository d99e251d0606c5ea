import { describe, expect, it } from 'vitest'
import type { Ctx } from '../../../src/core/context.ts'
import { uploadsJob } from '../../../src/features/uploads/jobs.ts'
import { routes } from '../../../src/features/uploads/routes.ts'
import { MOST_ANNOUNCED, MOST_ATTEMPTS } from '../../../src/features/uploads/rows.ts'
import { openUpload, storeUpload } from '../../../src/features/uploads/service.ts'
import { fakeJobDeps } from '../../support/fake-deps.ts'
import { useWorld } from '../job-queue/world.ts'

const world = useWorld()

/** What a route answers to somebody who was let in; what it throws is thrown. */
async function call(ctx: Ctx, name: string, { id, body, request = new Request('http://gateway') }: Call = {}) {
  const route = routes.find(({ method, path }) => `${method} ${path}` === name)
  const prepared = route?.prepare({ params: { id }, query: {}, body })
  if (!prepared || !('answer' in prepared)) throw new Error(`${name} does not take that`)
  return (await prepared.answer(ctx, request)) as Record<string, unknown>
}
type Call = { id?: string; body?: unknown; request?: Request }

const put = (text: string, headers: Record<string, string> = {}) =>
  new Request('http://gateway', {
    method: 'PUT',
    body: text,
    headers: { 'content-length': String(text.length), ...headers },
  })

async function announce(size_bytes = 100) {
  const isolate = world.isolate()
  const { orgId, keyId } = await world.org()
  const ctx = isolate.ctxOf({ orgId, keyId })
  const upload = await call(ctx, 'post /api/v1/uploads', {
    body: { filename: 'song.mp3', content_type: 'audio/mpeg', size_bytes },
  })
  const id = String(upload.id)
  const send = (request: Request, by = ctx) => call(by, 'put /api/v1/uploads/:id/content', { id, request })
  return { isolate, ctx, orgId, keyId, id, upload, send }
}

/** A bucket that stores once something else was done. */
const beforeStoring = (ctx: Ctx, first: () => Promise<void>): Ctx => ({
  ...ctx,
  bucket: { ...ctx.bucket, put: (key, file) => first().then(() => ctx.bucket.put(key, file)) },
})

/** One that tells when it was to store, and is held until it may. */
function slowed(ctx: Ctx) {
  const held = Promise.withResolvers<void>()
  const begun = Promise.withResolvers<void>()
  const slow = beforeStoring(ctx, () => {
    begun.resolve()
    return held.promise
  })
  return { slow, begun, held }
}

describe('an upload', () => {
  it('is announced, sent, opened and removed', async () => {
    const { isolate, ctx, orgId, id, upload, send } = await announce()
    expect(upload).toMatchObject({ object: 'upload', status: 'waiting', upload_url: `/api/v1/uploads/${id}/content` })
    await expect(openUpload(ctx, id)).rejects.toMatchObject({ status: 409, param: 'upload_id' })
    expect(await send(put('hello'))).toMatchObject({
      status: 'ready',
      size_bytes: 5,
      sha256: '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824',
    })
    expect([...isolate.files.keys()]).toEqual([`${orgId}/uploads/${id}/1`])
    const opened = await openUpload(ctx, id)
    expect(opened).toMatchObject({ filename: 'song.mp3', mime: 'audio/mpeg', sizeBytes: 5 })
    expect(new TextDecoder().decode(await opened.bytes())).toBe('hello')
    expect(await new Response(await opened.stream()).text()).toBe('hello')
    expect(new TextDecoder().decode(await opened.part(1, 4))).toBe('ell')
    expect(await opened.part(5, 5)).toEqual(new Uint8Array())
    await call(ctx, 'delete /api/v1/uploads/:id', { id })
    expect(isolate.files.size).toBe(0)
    await expect(openUpload(ctx, id)).rejects.toMatchObject({ status: 404 })
  })

  it('takes what was announced, once', async () => {
    const { send } = await announce(4)
    await expect(send(put('hello'))).rejects.toMatchObject({ code: 'payload_too_large' })
    await expect(send(put('hey', { 'content-length': 'many' }))).rejects.toMatchObject({ code: 'invalid_request' })
    await expect(send(put(''))).rejects.toMatchObject({ code: 'invalid_request' })
    await expect(send(new Request('http://gateway', { method: 'PUT' }))).rejects.toMatchObject({
      code: 'invalid_request',
    })
    await send(put('hey'))
    await expect(send(put('hey'))).rejects.toMatchObject({ code: 'conflict' })
  })

  it('that breaks off is not there, and may be sent again', async () => {
    const { isolate, send } = await announce()
    await expect(send(put('hey', { 'content-length': '4' }))).rejects.toMatchObject({ code: 'invalid_request' })
    expect(isolate.files.size).toBe(0)
    expect(await send(put('hey!'))).toMatchObject({ status: 'ready', size_bytes: 4 })
  })

  it('that two send at once is that of who began last, and nothing is left of the other', async () => {
    const { isolate, ctx, orgId, id, send } = await announce()
    const { slow, begun, held } = slowed(ctx)
    const first = send(put('first'), slow)
    await begun.promise
    expect(await send(put('second'))).toMatchObject({ status: 'ready', size_bytes: 6 })
    held.resolve()
    await expect(first).rejects.toMatchObject({ code: 'conflict' })
    expect([...isolate.files.keys()]).toEqual([`${orgId}/uploads/${id}/2`])
    expect(new TextDecoder().decode(await (await openUpload(ctx, id)).bytes())).toBe('second')
  })

  it('loses to one that was begun since, though that one is not there yet', async () => {
    const { isolate, ctx, orgId, id, send } = await announce()
    const { slow, begun, held: second } = slowed(ctx)
    let later: Promise<unknown> | undefined
    const overtaken = beforeStoring(ctx, () => {
      later = send(put('second'), slow)
      return begun.promise
    })
    await expect(send(put('first'), overtaken)).rejects.toMatchObject({ code: 'conflict' })
    expect(isolate.files.size).toBe(0)
    second.resolve()
    expect(await later).toMatchObject({ status: 'ready', size_bytes: 6 })
    expect([...isolate.files.keys()]).toEqual([`${orgId}/uploads/${id}/2`])
  })

  it('is tried so often and no more, and removed with whatever any try left', async () => {
    const { isolate, ctx, orgId, id, send } = await announce()
    for (let attempt = 1; attempt <= MOST_ATTEMPTS; attempt++) {
      await expect(send(put('hey', { 'content-length': '4' }))).rejects.toMatchObject({ code: 'invalid_request' })
    }
    await expect(send(put('hey'))).rejects.toMatchObject({ code: 'conflict' })
    for (const attempt of [1, MOST_ATTEMPTS]) isolate.files.set(`${orgId}/uploads/${id}/${attempt}`, new Uint8Array(1))
    await call(ctx, 'delete /api/v1/uploads/:id', { id })
    expect(isolate.files.size).toBe(0)
  })

  it('is one of a hundred that are not over, beside what comes with calls', async () => {
    const { isolate, ctx, orgId, id } = await announce()
    const more = `insert into uploads (id, org_id, status, size_bytes, created_by, expires_at, created_at, updated_at)
      select $1 || n, org_id, status, size_bytes, created_by, expires_at, created_at, updated_at
      from uploads, generate_series(2, $3::int) n where id = $2`
    await world.query(more, [orgId, id, MOST_ANNOUNCED])
    const body = { filename: 'one-more', size_bytes: 1 }
    await expect(call(ctx, 'post /api/v1/uploads', { body })).rejects.toMatchObject({ code: 'conflict' })
    const file = { filename: 'a.png', mime: 'image/png', bytes: new Uint8Array(3) }
    const stored = await storeUpload(ctx, file)
    expect(await openUpload(ctx, stored)).toMatchObject({ sizeBytes: 3 })
    await call(ctx, 'delete /api/v1/uploads/:id', { id })
    await call(ctx, 'post /api/v1/uploads', { body })
    await expect(call(ctx, 'post /api/v1/uploads', { body })).rejects.toMatchObject({ code: 'conflict' })
    isolate.clock.ms += 86_400_000
    await call(ctx, 'post /api/v1/uploads', { body })
  })

  it('of a key is there for that key and who is signed in as its maker, not for other keys of theirs', async () => {
    const isolate = world.isolate()
    const { orgId, keyId } = await world.org()
    const userId = isolate.deps.newId('usr')
    const insert = `insert into users (id, username, username_key, email, email_key, created_at, updated_at)
      values ($1, $1, $1, $1, $1, 1, 1)`
    await world.query(insert, [userId])
    await world.query('update api_keys set user_id = $1 where id = $2', [userId, keyId])
    const of = (caller: Partial<Ctx['caller']>) => isolate.ctxOf({ orgId, ...caller })
    const see = (caller: Partial<Ctx['caller']>, id: unknown) =>
      call(of(caller), 'get /api/v1/uploads/:id', { id: String(id) })
    const announced = async (caller: Partial<Ctx['caller']>) => {
      const body = { filename: 'a', size_bytes: 1 }
      return (await call(of(caller), 'post /api/v1/uploads', { body })).id
    }
    const [byKey, signedIn] = [
      { keyId, userId },
      { keyId: 'ses_1', userId, kind: 'user' as const },
    ]
    const [ofKey, ofPerson] = [await announced(byKey), await announced(signedIn)]
    expect(await see(byKey, ofKey)).toMatchObject({ id: ofKey })
    expect(await see({ ...signedIn, keyId: 'ses_2' }, ofKey)).toMatchObject({ id: ofKey })
    expect(await see({ ...signedIn, keyId: 'ses_2' }, ofPerson)).toMatchObject({ id: ofPerson })
    for (const [caller, id] of [
      [{ keyId: 'key_other', userId }, ofKey],
      [byKey, ofPerson],
      [{ ...signedIn, userId: 'usr_other' }, ofKey],
      [{ ...signedIn, userId: 'usr_other' }, ofPerson],
    ] as const) {
      await expect(see(caller, id)).rejects.toMatchObject({ code: 'not_found' })
    }
  })

  it('is there for who made it and for who may do everything, and for nobody else', async () => {
    const { isolate, orgId, id, send } = await announce()
    await send(put('hello'))
    const see = (caller: Partial<Ctx['caller']>) => call(isolate.ctxOf(caller), 'get /api/v1/uploads/:id', { id })
    expect(await see({ orgId, keyId: 'key_other', scopes: ['*:*'] })).toMatchObject({ id })
    for (const caller of [
      { orgId, keyId: 'key_other', scopes: ['*:read', 'audio:write'] },
      { orgId: (await world.org()).orgId, keyId: 'key_other', scopes: ['*:*'] },
      { orgId: '', keyId: '', kind: 'scraper' as const },
    ]) {
      await expect(see(caller)).rejects.toMatchObject({ code: 'not_found' })
      await expect(openUpload(isolate.ctxOf(caller), id)).rejects.toMatchObject({ code: 'not_found' })
      await expect(send(put('mine'), isolate.ctxOf(caller))).rejects.toMatchObject({ code: 'not_found' })
    }
  })

  it('is not made for who reads metrics', async () => {
    const ctx = world.isolate().ctxOf({ kind: 'scraper' })
    const body = { filename: 'a', size_bytes: 1 }
    await expect(call(ctx, 'post /api/v1/uploads', { body })).rejects.toMatchObject({ code: 'permission_denied' })
  })

  it('is over after a day, and then removed with its bytes', async () => {
    const { isolate, ctx, id, send } = await announce()
    await send(put('hello'))
    isolate.clock.ms += 86_400_000
    await expect(openUpload(ctx, id)).rejects.toMatchObject({ code: 'not_found' })
    isolate.clock.ms += 1000
    const jobDeps = fakeJobDeps({ ...isolate.deps, system: world.system() })
    const eachOrg = () => Promise.reject(new Error('this is done for all at once'))
    await uploadsJob.run(jobDeps, { dueMs: isolate.clock.ms, deadlineMs: isolate.clock.ms + 1000, eachOrg })
    expect(isolate.files.size).toBe(0)
    expect(await world.query('select id from uploads where id = $1', [id])).toEqual([])
  })
})
