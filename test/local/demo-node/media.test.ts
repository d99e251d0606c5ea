import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { decodeBase64, sniffMedia } from '../../../scripts/local/demo-node/media.ts'
import { ask, inMessage, post, postJson, startNode } from './demo-client.ts'

const png = Buffer.from('89504e470d0a1a0a0000000d49484452000000030000000208020000001216f14d', 'hex')
const jpeg = Buffer.from('ffd8ffe000104a46494600010100000100010000ffc0001108000a001403012200021101031101', 'hex')
const webp = Buffer.concat([
  Buffer.from('RIFF\x1a\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0', 'latin1'),
  Buffer.from([0x1f, 0, 0, 0x0f, 0, 0]),
])
const lossless = Buffer.concat([
  Buffer.from('RIFF\x1a\0\0\0WEBPVP8L\x0a\0\0\0\x2f', 'latin1'),
  Buffer.from([0x04, 0xc0, 0x01, 0, 0, 0, 0, 0, 0]),
])
const wav = Buffer.from('RIFF\x24\0\0\0WAVEfmt ', 'latin1')
const mp3 = Buffer.from([0xff, 0xfb, 0x90, 0x64])

it('tells images and sounds by their bytes', () => {
  expect(sniffMedia(png)).toEqual({ kind: 'PNG', width: 3, height: 2 })
  expect(sniffMedia(jpeg)).toEqual({ kind: 'JPEG', width: 20, height: 10 })
  expect(sniffMedia(webp)).toEqual({ kind: 'WebP', width: 32, height: 16 })
  expect(sniffMedia(lossless)).toEqual({ kind: 'WebP', width: 5, height: 8 })
  expect(sniffMedia(wav)).toEqual({ kind: 'WAV', byteLength: 16 })
  expect(sniffMedia(mp3)).toEqual({ kind: 'MP3', byteLength: 4 })
  expect(sniffMedia(Buffer.from('ID3\x04'))).toEqual({ kind: 'MP3', byteLength: 4 })
  expect(sniffMedia(Buffer.from('OggS\0\0\0\0\0\0\0\0'))).toBeUndefined()
})

it('never throws on arbitrary or truncated bytes', () => {
  const heads = fc.constantFrom(png, jpeg, webp, lossless, wav, Buffer.alloc(0))
  fc.assert(
    fc.property(heads, fc.nat(40), fc.uint8Array({ maxLength: 40 }), (head, keep, tail) => {
      sniffMedia(Buffer.concat([head.subarray(0, keep), tail]))
    }),
  )
})

it('decodes padded base64 only', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      expect(decodeBase64(Buffer.from(bytes).toString('base64'))).toEqual(Buffer.from(bytes))
    }),
  )
  expect(decodeBase64('data:image/png;base64,AAAA')).toEqual({ illegalAt: 4 })
  expect(decodeBase64('AAA')).toEqual({ illegalAt: 3 })
  expect(decodeBase64('AA==A')).toEqual({ illegalAt: 2 })
  expect(decodeBase64('AA-_')).toEqual({ illegalAt: 2 })
  expect(decodeBase64('AA\nAA')).toEqual(Buffer.alloc(3))
})

function withImage(model: string, bytes: string | Buffer, content = 'What is this?') {
  const image = typeof bytes === 'string' ? bytes : bytes.toString('base64')
  return { model, stream: false, messages: [{ role: 'user', content, images: [image] }] }
}

it('says what it saw', async () => {
  const node = await startNode()
  const seen = await postJson(node, '/api/chat', withImage('llava:7b', png))
  expect(inMessage(seen, 'content')).toContain('a PNG image of 3 × 2 pixels')
  const heard = await postJson(node, '/api/chat', withImage('gemma4:e2b', wav))
  expect(inMessage(heard, 'content')).toContain('a WAV recording of 16 bytes')
  const generated = await postJson(node, '/api/generate', {
    model: 'llava:7b',
    prompt: 'What?',
    images: [jpeg.toString('base64')],
    stream: false,
  })
  expect(generated.response).toContain('a JPEG image of 20 × 10 pixels')
  const plain = await postJson(node, '/api/chat', ask('What?', { model: 'llava:7b', stream: false }))
  expect(Number(seen.prompt_eval_count)).toBeGreaterThan(Number(plain.prompt_eval_count) + 200)
})

it('refuses data URLs, unknown kinds and models without the sense for it', async () => {
  const node = await startNode()
  const refusal = async (body: unknown) => {
    const response = await post(node, '/api/chat', body)
    return [response.status, await response.json()]
  }
  expect(await refusal(withImage('llava:7b', `data:image/png;base64,${png.toString('base64')}`))).toEqual([
    400,
    { error: 'illegal base64 data at input byte 4' },
  ])
  expect(await refusal(withImage('llava:7b', Buffer.from('OggS')))).toEqual([
    400,
    { error: 'Failed to load image or audio file' },
  ])
  expect(await refusal(withImage('llama3.2:3b', png))).toEqual([
    500,
    { error: 'this model is missing data required for image input' },
  ])
  expect(await refusal(withImage('llava:7b', mp3))).toEqual([
    500,
    { error: 'this model is missing data required for audio input' },
  ])
})
