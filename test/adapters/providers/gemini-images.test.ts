import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createGemini } from '../../../src/adapters/providers/gemini.ts'
import { type Outbound, OutboundError, type OutboundRequest } from '../../../src/core/outbound.ts'
import { dns, type Internet, startInternet } from '../outbound-internet.ts'
import { callOf, json, scripted, timeouts, upstreamFailure } from './support.ts'

const answer = { candidates: [{ content: { parts: [{ text: 'A cat.' }] }, finishReason: 'STOP' }] }
const bytesOf = (start: string, length = start.length) => {
  const bytes = new Uint8Array(length)
  bytes.set(Uint8Array.from(start, (character) => character.charCodeAt(0)))
  return bytes
}
const png = bytesOf('\x89PNG\r\n\x1a\nrest')
const megabyte = 1024 * 1024

const gemini = (outbound: Outbound) =>
  createGemini({
    name: 'gemini',
    baseUrl: 'https://gemini.test',
    apiKey: 'AIza-fake',
    outbound,
    timeouts,
    wholeTotalMs: 20_000,
  })

const image = (url: string) => ({ type: 'image_url', image_url: { url } })
const asking = (...urls: string[]) => ({ messages: [{ role: 'user', content: urls.map(image) }] })

/** Asks about images that a server answers with; the vendor itself is content with anything. */
function ask(urls: string[], serve: (request: OutboundRequest) => Response | Promise<Response>, signal?: AbortSignal) {
  const script = scripted((request) => (request.purpose === 'vendor' ? json(answer) : serve(request)))
  const call = callOf(asking(...urls), { model: 'gemini-2.5-flash', ...(signal ? { signal } : {}) })
  return { ...script, work: gemini(script.outbound).chat(call) }
}

describe('images by address', () => {
  it.each([
    ['image/png', png],
    ['image/jpeg', bytesOf('\xff\xd8\xff\xe0....')],
    ['image/webp', bytesOf('RIFF....WEBPVP8 ')],
    ['image/heic', bytesOf('\0\0\0\x18ftypheic')],
    ['image/heif', bytesOf('\0\0\0\x18ftypmif1')],
  ])('travel inside the request as %s, whatever their server calls them', async (mimeType, bytes) => {
    const { work, sent, requests } = ask(
      ['https://pics.test/a?b=c'],
      () => new Response(bytes, { headers: { 'content-type': 'text/html' } }),
    )
    await work
    expect(requests[0]).toMatchObject({
      url: 'https://pics.test/a?b=c',
      purpose: 'public',
      maxBodyBytes: 20 * megabyte,
    })
    expect(requests[0]?.headers).toEqual({ accept: 'image/*' })
    expect(sent()).toMatchObject({
      contents: [{ parts: [{ inlineData: { mimeType, data: Buffer.from(bytes).toString('base64') } }] }],
    })
  })

  it('are fetched once each, and keep their places', async () => {
    const urls = ['https://pics.test/1', 'https://pics.test/2', 'https://pics.test/1']
    const { work, sent, requests } = ask(urls, ({ url }) => new Response(bytesOf(`\x89PNG\r\n\x1a\n${url.at(-1)}`)))
    await work
    expect(
      requests
        .map(({ url }) => url)
        .slice(0, -1)
        .sort(),
    ).toEqual(urls.slice(0, 2))
    const parts = (sent() as { contents: [{ parts: { inlineData: { data: string } }[] }] }).contents[0].parts
    expect(parts.map(({ inlineData }) => atob(inlineData.data).at(-1))).toEqual(['1', '2', '1'])
  })

  it.each([
    ['is missing', () => new Response('no', { status: 404 }), /status 404/],
    ['is no image', () => new Response('<html></html>'), /PNG, JPEG, WEBP or HEIC/],
    ['is empty', () => new Response(''), /PNG, JPEG, WEBP or HEIC/],
  ])('are refused with the field’s name when one %s', async (_name, serve, message) => {
    const { work, requests } = ask(['https://pics.test/a'], serve)
    const failure = await upstreamFailure(work)
    expect(failure).toMatchObject({
      fault: 'status',
      status: 400,
      vendor: { param: 'messages[0].content[0].image_url' },
    })
    expect(failure.vendor?.message).toMatch(message)
    expect(requests.every(({ purpose }) => purpose === 'public')).toBe(true)
  })

  it('may be twenty megabytes together, and no more', async () => {
    const serve = () => new Response(bytesOf('\x89PNG\r\n\x1a\n', 7 * megabyte))
    await ask(['https://a.test/1', 'https://a.test/2'], serve).work
    const { work } = ask(['https://a.test/1', 'https://a.test/2', 'https://a.test/3'], serve)
    expect(await upstreamFailure(work)).toMatchObject({ status: 400, vendor: { message: /20 MB together/ } })
  })

  it('may be thirty-two, and no more', async () => {
    const urls = Array.from({ length: 33 }, (_, position) => `https://a.test/${position}`)
    const { work, requests } = ask(urls, () => new Response(png))
    expect(await upstreamFailure(work)).toMatchObject({ vendor: { param: 'messages[0].content[32].image_url' } })
    expect(requests).toEqual([])
  })

  it('are not fetched for a caller who would lose something and wants all', async () => {
    const { outbound, requests } = scripted(() => json(answer))
    const call = callOf({ ...asking('https://a.test/1'), user: 'u' }, { strict: true })
    expect(await upstreamFailure(gemini(outbound).chat(call))).toMatchObject({ vendor: { param: 'user' } })
    expect(requests).toEqual([])
  })

  it('are given up with their caller', async () => {
    const caller = new AbortController()
    const asked = Promise.withResolvers<AbortSignal | undefined>()
    const { work } = ask(
      ['https://a.test/1'],
      ({ signal }) => {
        asked.resolve(signal)
        return new Promise((_, reject) => signal?.addEventListener('abort', () => reject(new Error('gone'))))
      },
      caller.signal,
    )
    const failure = upstreamFailure(work)
    const signal = await asked.promise
    caller.abort()
    expect(await failure).toMatchObject({ fault: 'aborted' })
    expect(signal?.aborted).toBe(true)
  })
})

it('images take no more time than the call has', async () => {
  vi.useFakeTimers()
  try {
    const { outbound, requests } = scripted(
      ({ signal }) =>
        new Promise((_, reject) => {
          signal?.addEventListener('abort', () => reject(new OutboundError('aborted', 'The caller ended the request.')))
        }),
    )
    const call = callOf(asking('https://a.test/1', 'https://a.test/2', 'https://a.test/3'))
    const failure = upstreamFailure(gemini(outbound).chat({ ...call, timeouts: { ...timeouts, totalMs: 5000 } }))
    await vi.advanceTimersByTimeAsync(5001)
    expect(await failure).toMatchObject({ status: 400, vendor: { message: /no time left/ } })
    expect(requests).toHaveLength(2)
    expect(vi.getTimerCount()).toBe(0)
  } finally {
    vi.useRealTimers()
  }
})

describe('images behind the guard', () => {
  let internet: Internet
  beforeEach(async () => {
    internet = await startInternet()
    internet.zone('pics.site.com', { A: dns('A 93.184.215.14'), AAAA: dns() })
    internet.zone('inside.site.com', { A: dns('A 10.0.0.7'), AAAA: dns() })
  })
  afterEach(() => internet.close())

  const look = (url: string) => {
    const guarded = internet.outbound()
    const outbound: Outbound = (request) =>
      request.purpose === 'vendor' ? Promise.resolve(json(answer)) : guarded(request)
    return gemini(outbound).chat(callOf(asking(url)))
  }

  it('come from public addresses', async () => {
    internet.serve((_request, response) => response.end(png))
    expect((await look('https://pics.site.com/a.png')).kind).toBe('whole')
    expect(internet.seen).toHaveLength(1)
  })

  it.each([
    'https://inside.site.com/a.png',
    'http://pics.site.com/a.png',
    'https://127.0.0.1/a.png',
    'https://169.254.169.254/latest/meta-data',
    'https://user:secret@pics.site.com/a.png',
  ])('never come from %s', async (url) => {
    const failure = await upstreamFailure(look(url))
    expect(failure).toMatchObject({ status: 400, vendor: { param: 'messages[0].content[0].image_url' } })
    expect(failure.vendor?.message).not.toMatch(/10\.0|secret|site\.com/)
    expect(internet.seen).toEqual([])
  })

  it('never come from behind a redirect inwards', async () => {
    internet.serve((_request, response) => response.writeHead(302, { location: 'https://inside.site.com/x' }).end())
    expect(await upstreamFailure(look('https://pics.site.com/a.png'))).toMatchObject({ status: 400 })
    expect(internet.seen).toHaveLength(1)
  })
})
