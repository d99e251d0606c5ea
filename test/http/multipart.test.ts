import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { AppError } from '../../src/core/errors.ts'
import {
  booleanField,
  FileField,
  type FilePart,
  FilesField,
  isFilePart,
  jsonField,
  listField,
  numberField,
  releaseFiles,
} from '../../src/http/multipart.ts'
import { fieldsOf, MAX_PARTS } from '../../src/http/multipart-body.ts'
import { buildDocument } from '../../src/http/openapi.ts'
import { post } from '../../src/http/route.ts'
import { anyCharacter } from '../support/any-character.ts'
import { count } from '../support/lane.ts'
import { problemOf, thingGateway } from './support.ts'

const MEGABYTE = 1024 * 1024
const Body = z.strictObject({
  file: FileField.optional(),
  files: FilesField(3).optional(),
  image_base64: z.string().optional(),
  top_k: numberField(z.int().max(50)).default(10),
  is_kept: booleanField().default(false),
  tags: listField(z.array(z.string())).optional(),
  metadata: jsonField(z.record(z.string(), z.string())).optional(),
})
const Seen = z.strictObject({ files: z.array(z.unknown()), fields: z.unknown() })

const route = post(
  '/api/v1/thing',
  { summary: 'Look', scope: 'tools:write', body: Body, response: Seen, multipart: { maxBytes: MEGABYTE } },
  (_ctx, { body: { file, files = [], image_base64, ...fields } }) => ({
    files: [file, ...files].flatMap((one) =>
      one ? [{ filename: one.filename ?? null, type: one.type ?? null, size: one.bytes.byteLength }] : [],
    ),
    fields: { ...fields, ...(image_base64 !== undefined && { base64: image_base64.length }) },
  }),
)

const { send, sendJson } = thingGateway({ problem: [route] })
const post_ = (body: BodyInit, headers: HeadersInit = {}) => send('/api/v1/thing', { method: 'POST', body, headers })
const BOUNDARY = 'x-1'
const raw = (text: string, type = `multipart/form-data; boundary=${BOUNDARY}`) =>
  post_(Buffer.from(text, 'latin1'), { 'content-type': type })
const part = (name: string, value: string, more = '') =>
  `--${BOUNDARY}\r\ncontent-disposition: form-data; name="${name}"${more}\r\n\r\n${value}\r\n`
const END = `--${BOUNDARY}--\r\n`

const form = (fields: readonly [string, string | Blob, string?][]) => {
  const data = new FormData()
  for (const [name, value, filename] of fields) {
    if (typeof value === 'string') data.append(name, value)
    else data.append(name, value, filename)
  }
  return data
}
const blob = (size: number, type = 'image/png') => new Blob([new Uint8Array(size).fill(7)], { type })

describe('a form with files', () => {
  it('is read by the same schema as JSON', async () => {
    const data = form([
      ['file', blob(10), 'a.png'],
      ['top_k', '5'],
      ['is_kept', 'true'],
      ['tags', 'red'],
      ['tags', 'blue'],
      ['metadata', '{"from":"here"}'],
    ])
    const fields = { top_k: 5, is_kept: true, tags: ['red', 'blue'], metadata: { from: 'here' } }
    expect(await (await post_(data)).json()).toEqual({
      files: [{ filename: 'a.png', type: 'image/png', size: 10 }],
      fields,
    })
    expect(await (await sendJson('/api/v1/thing', fields)).json()).toEqual({ files: [], fields })
  })

  it('holds one file or several under one name, and lists in any of their forms', async () => {
    for (const [names, size] of [
      [['files'], 1],
      [['files', 'files', 'files'], 3],
      [['files[]'], 1],
    ] as const) {
      const answer = await post_(form(names.map((name) => [name, blob(1), 'a'])))
      expect(Seen.parse(await answer.json()).files).toHaveLength(size)
    }
    for (const value of ['["a"]', 'a']) {
      expect(await (await post_(form([['tags', value]]))).json()).toMatchObject({ fields: { tags: ['a'] } })
    }
    expect(await (await raw(`${part('tags[]', 'a')}${END}`)).json()).toMatchObject({ fields: { tags: ['a'] } })
  })

  it.each([
    ['a number that is none', [['top_k', 'many']], '/top_k'],
    ['an empty number', [['top_k', '']], '/top_k'],
    ['a number out of bounds', [['top_k', '51']], '/top_k'],
    ['an unknown field', [['colour', 'red']], '/colour'],
    ['a text for a file', [['file', 'text']], '/file'],
    ['a file for a text', [['image_base64', blob(3), 'a']], '/image_base64'],
    ['too many files', Array.from({ length: 4 }, () => ['files', blob(1), 'a']), '/files'],
    ['JSON that is none', [['metadata', '{']], '/metadata'],
    ['JSON too deep', [['metadata', '['.repeat(100)]], '/metadata'],
    ['JSON that hides a NUL', [['metadata', '{"a":"\\u0000"}']], '/metadata'],
    ['a text with a NUL', [['tags', 'a\0']], '/tags'],
    ['a prototype', [['__proto__', 'x']], '/__proto__'],
  ] as [string, [string, string | Blob, string?][], string][])('with %s is 422', async (_what, fields, pointer) => {
    const problem = await problemOf(await post_(form(fields)))
    expect(problem).toMatchObject({ status: 422, errors: [{ pointer }] })
  })

  it('is bounded by its files, whether its length is declared or not', async () => {
    const fits = form([['file', blob(MEGABYTE), 'a']])
    expect((await post_(fits)).status).toBe(200)
    const over = new Request('http://x', { method: 'POST', body: form([['file', blob(MEGABYTE + 1), 'a']]) })
    const type = { 'content-type': over.headers.get('content-type') ?? '' }
    const bytes = new Uint8Array(await over.arrayBuffer())
    const declared = await post_(bytes, { ...type, 'content-length': String(bytes.length) })
    expect(await problemOf(declared)).toMatchObject({ status: 413, code: 'payload_too_large' })
    expect((await post_(bytes, type)).status).toBe(413)
    const twice = form([
      ['files', blob(MEGABYTE / 2 + 1), 'a'],
      ['files', blob(MEGABYTE / 2), 'b'],
    ])
    expect((await post_(twice)).status).toBe(413)
  })

  it('is not read at all when its declared length is too much', async () => {
    let pulled = 0
    const body = new ReadableStream({ pull: () => void pulled++ }, { highWaterMark: 0 })
    const init = {
      method: 'POST',
      body,
      duplex: 'half',
      headers: { 'content-type': `multipart/form-data; boundary=b`, 'content-length': '4000000' },
    }
    expect((await send('/api/v1/thing', init as RequestInit)).status).toBe(413)
    expect(pulled).toBe(0)
  })

  it('may have JSON a third longer than its files', async () => {
    const sized = (length: number) => sendJson('/api/v1/thing', { image_base64: 'A'.repeat(length) })
    expect((await sized(9 * MEGABYTE)).status).toBe(200)
    expect((await sized(11 * MEGABYTE)).status).toBe(413)
  })

  it('has text fields of 1 MB at most, and 200 parts', async () => {
    expect((await post_(form([['image_base64', 'A'.repeat(MEGABYTE)]]))).status).toBe(200)
    expect((await post_(form([['image_base64', 'A'.repeat(MEGABYTE + 1)]]))).status).toBe(413)
    const many = (parts: number) => post_(form(Array.from({ length: parts }, () => ['tags', 'a'])))
    expect((await many(MAX_PARTS)).status).toBe(200)
    expect(await problemOf(await many(MAX_PARTS + 1))).toMatchObject({ status: 400, code: 'invalid_request' })
  })

  it.each([
    ['without a boundary', '', 'multipart/form-data', 400],
    ['with a boundary that is none', '', 'multipart/form-data; boundary="a\u00e4"', 400],
    ['empty', '', undefined, 400],
    ['of another boundary', `--y\r\n\r\n--y--`, undefined, 400],
    ['that ends inside its headers', `--${BOUNDARY}\r\ncontent-disp`, undefined, 400],
    ['that ends inside a part', part('tags', 'a'), undefined, 400],
    ['with a part without headers', `--${BOUNDARY}\r\n\r\na\r\n${END}`, undefined, 400],
    ['with a header that is none', `--${BOUNDARY}\r\nno header\r\n\r\na\r\n${END}`, undefined, 400],
    [
      'with more about a part than a form tells',
      `--${BOUNDARY}\r\ncontent-disposition: form-data; name=f${';a="x'.repeat(800)}\r\n\r\na\r\n${END}`,
      undefined,
      400,
    ],
    ['with a part of no form', `--${BOUNDARY}\r\ncontent-disposition: attachment\r\n\r\na\r\n${END}`, undefined, 400],
    [
      'with a part without a name',
      `--${BOUNDARY}\r\ncontent-disposition: form-data\r\n\r\na\r\n${END}`,
      undefined,
      400,
    ],
    [
      'in base64',
      part('tags', 'a').replace('\r\n\r\n', '\r\ncontent-transfer-encoding: base64\r\n\r\n') + END,
      undefined,
      400,
    ],
    ['with a text that is not UTF-8', part('tags', '\xff') + END, undefined, 400],
    ['of another kind', 'a=b', 'application/x-www-form-urlencoded', 415],
    ['of a mixed kind', 'a=b', `multipart/mixed; boundary=${BOUNDARY}`, 415],
  ])('%s is refused with a sentence', async (_what, text, type, status) => {
    const problem = await problemOf(await raw(text, type))
    expect(problem.status).toBe(status)
    expect(problem.detail).toMatch(/^(The|A|Send) .*\.$/)
  })

  it('that is compressed is 415', async () => {
    const headers = { 'content-type': `multipart/form-data; boundary=${BOUNDARY}`, 'content-encoding': 'gzip' }
    expect((await post_(Buffer.from([31, 139, 8, 0]), headers)).status).toBe(415)
  })
})

const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'latin1'))
const parsed = (text: string) => fieldsOf(bytes(text), BOUNDARY, MEGABYTE)
const nameOf = (disposition: string) => {
  const { f } = parsed(`--${BOUNDARY}\r\nContent-Disposition: form-data; name="f"; ${disposition}\r\n\r\nx\r\n${END}`)
  return isFilePart(f) ? f.filename : 'no file'
}

describe('a part', () => {
  it.each([
    ['filename="a b.png"', 'a b.png'],
    ['filename=a.png', 'a.png'],
    ['filename="C:\\pictures\\a.png"', 'a.png'],
    ['filename="../../etc/passwd"', 'passwd'],
    ['filename="say %22hi%22.png"', 'say "hi".png'],
    ['filename="a.png"; more="\\"', 'a.png'],
    ['filename="say \\"hi\\".png"', 'say "hi".png'],
    ['filename="a%0D%0Ab\x00\x1b.png"', 'ab.png'],
    ["filename*=UTF-8''%C3%A4.png", 'ä.png'],
    ['filename=".."', undefined],
    ['filename=""', undefined],
    [`filename="${'a'.repeat(300)}.png"`, `${'a'.repeat(251)}.png`],
  ])('with %s is called as it may be stored', (disposition, name) => {
    expect(nameOf(disposition)).toBe(name)
  })

  it('of a file that nobody chose is none', () => {
    expect(parsed(`${part('f', '', '; filename=""')}${END}`)).toEqual({})
  })

  it('of bytes is a file though it has no name, and its declared type is kept only when it is one', () => {
    const typed = (type: string) =>
      parsed(`--${BOUNDARY}\r\ncontent-disposition: form-data; name=f\r\ncontent-type: ${type}\r\n\r\nx\r\n${END}`).f
    expect(typed('audio/webm; codecs=opus')).toMatchObject({ type: 'audio/webm; codecs=opus' })
    expect(typed('image/\x01')).toMatchObject({ filename: undefined, type: undefined })
    expect(typed('application/json')).toBe('x')
  })

  it('may be preceded, padded and followed by what is nobody’s', () => {
    expect(parsed(`to whom\r\n--${BOUNDARY} \t\r\n${part('a', 'b').slice(7)}${END}and after`)).toEqual({ a: 'b' })
  })

  it('may hold what only looks like its boundary, but not without end', () => {
    const value = `\r\n--${BOUNDARY}0\r\n--${BOUNDARY} x\r\n-${BOUNDARY}--`
    expect(parsed(`${part('a', value)}${END}`)).toEqual({ a: value })
    expect(() => parsed(`${part('a', `\r\n--${BOUNDARY}0`.repeat(2000))}${END}`)).toThrow(AppError)
  })

  it('is a view of the body', () => {
    const body = bytes(`${part('f', 'xyz', '; filename=a')}${END}`)
    const { f } = fieldsOf(body, BOUNDARY, MEGABYTE)
    expect(isFilePart(f) && f.bytes.buffer).toBe(body.buffer)
  })

  it('can be let go of', () => {
    const filesOf = (size: number) => {
      const { f } = fieldsOf(
        bytes(`${part('f', 'x'.repeat(size), '; filename=a').repeat(2)}${END}`),
        BOUNDARY,
        2 * size,
      )
      return Array.isArray(f) ? f.filter(isFilePart) : []
    }
    const sizesAfter = (files: FilePart[]) => {
      releaseFiles(files)
      return files.map((file) => file.bytes.byteLength)
    }
    expect(sizesAfter(filesOf(MEGABYTE))).toEqual([0, 0])
    expect(sizesAfter(filesOf(10))).toEqual([10, 10])
  })
})

/** Bytes in which boundaries are likely. */
const content = fc
  .array(
    fc.oneof(
      fc.constantFrom('\r\n', '\r', '\n', '--', '-', `\r\n--${BOUNDARY.slice(0, 2)}`, 'x'),
      fc.string({ unit: 'binary-ascii', maxLength: 3 }),
    ),
  )
  .map((pieces) => pieces.join(''))
  .filter((text) => !`\r\n${text}\r\n`.includes(`\r\n--${BOUNDARY}`))

describe('whatever is sent', () => {
  it('comes out as it went in', () => {
    fc.assert(
      fc.property(fc.array(content, { maxLength: 5 }), (contents) => {
        const body = contents.map((text, index) => part(`f${index}`, text, '; filename=a')).join('') + END
        const fields = Object.values(parsed(body)).map((one) =>
          isFilePart(one) ? Buffer.from(one.bytes).toString('latin1') : one,
        )
        expect(fields).toEqual(contents)
      }),
      { numRuns: count(200, 5000) },
    )
  })

  it('is read as the platform reads it', async () => {
    const names = fc
      .string({ minLength: 1, maxLength: 20 })
      .filter((name) => !name.endsWith('[]') && name.isWellFormed())
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.tuple(names, fc.string({ unit: anyCharacter })), {
          selector: ([name]) => name,
          maxLength: 6,
        }),
        async (fields) => {
          const request = new Request('http://x', { method: 'POST', body: form(fields) })
          const [, boundary = ''] = /boundary=(.*)/.exec(request.headers.get('content-type') ?? '') ?? []
          const own = fieldsOf(new Uint8Array(await request.clone().arrayBuffer()), boundary, MEGABYTE)
          expect(Object.entries(own).sort()).toEqual([...(await request.formData())].sort())
        },
      ),
      { numRuns: count(20, 1000) },
    )
  })

  it('is fields or a 400, and never anything else, cut anywhere or with bytes changed', () => {
    const whole = bytes(
      `${part('a', 'b')}${part('f', '\x00\xff', '; filename="a.png"\r\ncontent-type: image/png')}${END}`,
    )
    const outcome = (body: Uint8Array) => {
      try {
        fieldsOf(body, BOUNDARY, MEGABYTE)
        return 'fields'
      } catch (error) {
        return error instanceof AppError ? error.status : error
      }
    }
    for (let end = 0; end < whole.length - 2; end++) expect(outcome(whole.subarray(0, end))).toBe(400)
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, value) => {
        const changed = whole.slice()
        changed[at] = value
        expect(['fields', 400]).toContain(outcome(changed))
      }),
      { numRuns: count(500, 5000) },
    )
  })
})

describe('the document', () => {
  it('shows both media types, and files in one of them', () => {
    const document = buildDocument([{ tag: 'thing', errors: 'problem', routes: [route] }], '1')
    const Content = z.record(
      z.string(),
      z.object({ schema: z.object({ properties: z.record(z.string(), z.unknown()) }) }),
    )
    const Document = z.object({
      paths: z.object({
        '/api/v1/thing': z.object({ post: z.object({ requestBody: z.object({ content: Content }) }) }),
      }),
    })
    const { content } = Document.parse(document).paths['/api/v1/thing'].post.requestBody
    expect(Object.keys(content)).toEqual(['multipart/form-data', 'application/json'])
    expect(content['multipart/form-data']?.schema.properties).toMatchObject({
      file: { type: 'string', format: 'binary' },
      files: { type: 'array', items: { type: 'string', format: 'binary' } },
      top_k: { type: 'integer' },
    })
    expect(content['application/json']?.schema.properties).not.toHaveProperty('file')
    expect(content['application/json']?.schema.properties).not.toHaveProperty('files')
  })
})
