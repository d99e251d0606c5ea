import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { MAX_BODY_BYTES, MAX_PUBLIC_BODY_BYTES } from '../../src/http/body.ts'
import { post } from '../../src/http/route.ts'
import { openaiErrorOf, problemOf, thingGateway } from './support.ts'

const Text = z.strictObject({ text: z.string() })
const size = { summary: 'Size', scope: 'tools:write', body: Text, response: z.object({ size: z.int() }) } as const

const setup = () =>
  thingGateway({
    openai: [post('/v1/thing', size, (_ctx, { body }) => ({ size: body.text.length }))],
    problem: [post('/api/v1/thing', size, (_ctx, { body }) => ({ size: body.text.length }))],
  })

/** A body of unknown length that reports how much of it was read. */
function chunked(total: number, chunkBytes = 64 * 1024) {
  let sent = 0
  let cancelled = false
  const head = new TextEncoder().encode('{"text":"')
  const tail = new TextEncoder().encode('"}')
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (sent === 0) controller.enqueue(head)
      if (sent < total) {
        const size = Math.min(chunkBytes, total - sent)
        controller.enqueue(new Uint8Array(size).fill(97))
        sent += size
        return
      }
      controller.enqueue(tail)
      controller.close()
    },
    cancel() {
      cancelled = true
    },
  })
  return { stream, sent: () => sent, cancelled: () => cancelled }
}

const json = { 'content-type': 'application/json' }
const streamed = (body: ReadableStream<Uint8Array>): RequestInit => {
  const init = { method: 'POST', headers: json, body, duplex: 'half' }
  return init
}

describe('a JSON body', () => {
  it('is read whole when it comes in chunks', async () => {
    const { send } = setup()
    const { stream } = chunked(300_000)
    const response = await send('/v1/thing', streamed(stream))
    expect(response.status).toBe(200)
    expect(await response.json()).toEqual({ size: 300_000 })
  })

  it('is read whole when its length is declared', async () => {
    const { send } = setup()
    const body = JSON.stringify({ text: 'ä😀' })
    const headers = { ...json, 'content-length': String(new TextEncoder().encode(body).length) }
    const response = await send('/v1/thing', { method: 'POST', headers, body })
    expect(await response.json()).toEqual({ size: 3 })
  })

  it('is refused by its declared length without being read', async () => {
    const { send } = setup()
    const { stream, sent } = chunked(1_000_000)
    const init = streamed(stream)
    const response = await send('/v1/thing', {
      ...init,
      headers: { ...json, 'content-length': String(MAX_BODY_BYTES + 1) },
    })
    expect(response.status).toBe(413)
    expect((await openaiErrorOf(response)).code).toBe('payload_too_large')
    expect(sent()).toBeLessThan(200_000)
  })

  it('stops being read at the limit when its length is not declared', async () => {
    const { send } = setup()
    const { stream, sent, cancelled } = chunked(10 * MAX_BODY_BYTES)
    const response = await send('/v1/thing', streamed(stream))
    expect(response.status).toBe(413)
    expect(cancelled()).toBe(true)
    expect(sent()).toBeLessThan(MAX_BODY_BYTES + 1_000_000)
  })

  it.each(['declared', 'in chunks'])('is much smaller where anybody may send it: %s', async (how) => {
    const route = post('/api/v1/thing', { ...size, scope: 'public' }, (_ctx, { body }) => ({ size: body.text.length }))
    const { send } = thingGateway({ problem: [route] })
    const ask = (length: number) => {
      const text = length - '{"text":""}'.length
      const body = JSON.stringify({ text: 'a'.repeat(text) })
      return send(
        '/api/v1/thing',
        how === 'declared'
          ? { method: 'POST', headers: { ...json, 'content-length': String(body.length) }, body }
          : streamed(chunked(text).stream),
      )
    }
    expect((await ask(MAX_PUBLIC_BODY_BYTES)).status).toBe(200)
    const problem = await problemOf(await ask(MAX_PUBLIC_BODY_BYTES + 1))
    expect([problem.status, problem.detail]).toEqual([413, expect.stringContaining('64 KB')])
  })

  it('may have exactly ten megabytes', async () => {
    const { send } = setup()
    const { stream } = chunked(MAX_BODY_BYTES - '{"text":""}'.length)
    expect((await send('/v1/thing', streamed(stream))).status).toBe(200)
    const { stream: larger } = chunked(MAX_BODY_BYTES - '{"text":""}'.length + 1)
    expect((await send('/v1/thing', streamed(larger))).status).toBe(413)
  })

  it('that breaks off is the caller’s fault', async () => {
    const { send } = setup()
    const broken = new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.error(new Error('connection lost'))
      },
    })
    const response = await send('/v1/thing', streamed(broken))
    expect(response.status).toBe(400)
    expect((await openaiErrorOf(response)).message).toContain('ended before')
  })

  it.each(['application/json', 'application/json; charset=utf-8', 'Application/JSON;charset="UTF-8"'])(
    'may be declared as %s',
    async (type) => {
      const { send } = setup()
      const headers = { 'content-type': type }
      expect((await send('/v1/thing', { method: 'POST', headers, body: '{"text":""}' })).status).toBe(200)
    },
  )

  it.each(['text/plain', 'application/json; charset=latin1', 'application/jsonp', 'multipart/form-data; boundary=x'])(
    'may not be declared as %s',
    async (type) => {
      const { send } = setup()
      const headers = { 'content-type': type }
      const response = await send('/v1/thing', { method: 'POST', headers, body: '{"text":""}' })
      expect(response.status).toBe(415)
      expect((await openaiErrorOf(response)).code).toBe('unsupported_media_type')
    },
  )

  it('needs a declared type, and a refusal names the header', async () => {
    const { send } = setup()
    const body = new TextEncoder().encode('{"text":""}')
    expect((await send('/v1/thing', { method: 'POST', body })).status).toBe(415)
    const problem = await problemOf(await send('/api/v1/thing', { method: 'POST', body }))
    expect(problem).toMatchObject({
      status: 415,
      errors: [{ pointer: 'content-type', detail: expect.stringContaining('application/json') }],
    })
    const headers = { ...json, 'content-encoding': 'gzip' }
    const compressed = await problemOf(await send('/api/v1/thing', { method: 'POST', headers, body: '\x1f\x8b' }))
    expect(compressed).toMatchObject({ status: 415, errors: [{ pointer: 'content-encoding' }] })
  })

  it('may be missing where none of its fields is needed', async () => {
    const Wish = z.strictObject({ text: z.string().default('nothing') })
    const spec = { summary: 'Wish', scope: 'tools:write', body: Wish, response: Text } as const
    const { send } = thingGateway({ openai: [post('/v1/thing', spec, (_ctx, { body }) => body)], problem: [] })
    for (const init of [{}, { headers: { 'content-length': '0' }, body: '' }]) {
      const response = await send('/v1/thing', { method: 'POST', ...init })
      expect([response.status, await response.json()]).toEqual([200, { text: 'nothing' }])
    }
    expect((await send('/v1/thing', { method: 'POST', headers: json, body: '{"other":1}' })).status).toBe(400)
  })

  it('that is declared empty is missing, whatever its type', async () => {
    const { send } = setup()
    const response = await send('/v1/thing', { method: 'POST', headers: { 'content-length': '0' }, body: '' })
    expect(response.status).toBe(400)
    expect((await openaiErrorOf(response)).message).toContain('required')
  })

  it('that is compressed is an unsupported media type, not broken JSON', async () => {
    const { send } = setup()
    const headers = { ...json, 'content-encoding': 'gzip' }
    const body = new Uint8Array([0x1f, 0x8b, 8, 0, 0])
    expect((await send('/v1/thing', { method: 'POST', headers, body })).status).toBe(415)
  })

  it.each([
    ['nothing', undefined, 'required'],
    ['an empty text', '', 'required'],
    ['half an object', '{"text":', 'position 8'],
    ['a wrong word', '{\n "text": nul }', 'line 2, column 13'],
    ['invalid UTF-8', new Uint8Array([0x22, 0xff, 0x22]), 'UTF-8'],
    ['65 levels', `${'['.repeat(65)}${']'.repeat(65)}`, '64 levels'],
    ['65 levels that never close', '['.repeat(65), '64 levels'],
  ])('of %s is refused with 400', async (_name, body, told) => {
    const { send } = setup()
    const response = await send('/v1/thing', { method: 'POST', headers: json, ...(body !== undefined && { body }) })
    expect(response.status).toBe(400)
    expect((await openaiErrorOf(response)).message).toContain(told)
  })

  it('that is not JSON is 400 on the platform too, where a broken rule is 422', async () => {
    const { sendJson } = setup()
    expect((await problemOf(await sendJson('/api/v1/thing', '{'))).status).toBe(400)
    expect((await problemOf(await sendJson('/api/v1/thing', '{}'))).status).toBe(422)
  })

  it('cannot reach a prototype', async () => {
    const seen: unknown[] = []
    const Loose = z.looseObject({ text: z.string() })
    const { sendJson } = thingGateway({
      openai: [
        post('/v1/thing', { summary: 'Keep', scope: 'tools:write', body: Loose }, (_ctx, { body }) => {
          seen.push(body)
          return undefined
        }),
      ],
    })
    const text = '{"__proto__":{"admin":true},"text":"a","__proto__":{"admin":true}}'
    expect((await sendJson('/v1/thing', text)).status).toBe(204)
    expect(Reflect.get(Object(seen[0]), 'admin')).toBeUndefined()
    expect(Reflect.get({}, 'admin')).toBeUndefined()
  })
})
