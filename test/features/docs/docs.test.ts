import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { createGateway } from '../../../src/app.ts'
import type { Deps } from '../../../src/core/context.ts'
import { errorCodes } from '../../../src/core/errors.ts'
import { areas } from '../../../src/features/index.ts'
import { fakeAdmit, fakeDeps } from '../../support/fake-deps.ts'

function docs(given: Partial<Deps> = {}) {
  const gateway = createGateway(areas, fakeDeps(given), fakeAdmit({}))
  return (path: string, headers: Record<string, string> = {}) =>
    gateway(new Request(`http://gateway${path}`, { headers }))
}

const html = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' }

describe('GET /openapi.json', () => {
  it('is the document, kept for five minutes', async () => {
    const response = await docs()('/openapi.json')
    expect(response.headers.get('cache-control')).toBe('public, max-age=300')
    expect(await response.json()).toMatchObject({ openapi: '3.1.1', info: { version: '0.0.0-test' } })
  })

  it('is 304 for whoever has it', async () => {
    const send = docs()
    const etag = (await send('/openapi.json')).headers.get('etag') ?? ''
    const again = await send('/openapi.json', { 'if-none-match': etag })
    expect(again.status).toBe(304)
    expect(again.headers.get('etag')).toBe(etag)
    expect(await again.text()).toBe('')
    expect((await send('/openapi.json', { 'if-none-match': '"other"' })).status).toBe(200)
  })
})

describe('GET /docs', () => {
  it('names no other host and has no script of its own', async () => {
    const response = await docs()('/docs')
    const page = await response.text()
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(page).not.toMatch(/https?:\/\//)
    expect([...page.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, url]) => url)).toEqual([
      '/openapi.json',
      '/docs/scalar.js',
    ])
    expect([...page.matchAll(/<script(?![^>]*(?:src=|type="application\/json"))/g)]).toEqual([])
  })

  it('lets scripts and connections come from its own origin only', async () => {
    const policy = (await docs()('/docs')).headers.get('content-security-policy') ?? ''
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain("script-src 'self';")
    expect(policy).toContain("connect-src 'self';")
    expect(policy).not.toMatch(/https?:|\*|unsafe-eval/)
  })

  it('turns off everything that asks other hosts', async () => {
    const page = await (await docs()('/docs')).text()
    const encoded = /data-configuration="([^"]*)"/.exec(page)?.[1] ?? ''
    expect(JSON.parse(encoded.replaceAll('&quot;', '"'))).toMatchObject({
      url: '/openapi.json',
      proxyUrl: '',
      withDefaultFonts: false,
      telemetry: false,
      persistAuth: false,
    })
  })

  it('takes its script from the static files of the release', async () => {
    const asked: string[] = []
    const assets = {
      fetch: async (request: Request) => {
        asked.push(new URL(request.url).pathname)
        return new Response('script', { headers: { 'content-type': 'text/javascript' } })
      },
    }
    const response = await docs({ assets })('/docs/scalar.js')
    expect(await response.text()).toBe('script')
    expect(asked).toEqual(['/docs/scalar.js'])
    expect((await docs()('/docs/scalar.js')).status).toBe(404)
  })
})

describe('GET /docs/errors', () => {
  const List = z.object({ data: z.array(z.object({ code: z.string(), cause: z.string(), remedy: z.string() })) })

  it('explains every code', async () => {
    const { data } = List.parse(await (await docs()('/docs/errors')).json())
    expect(data.map(({ code }) => code).sort()).toEqual(Object.keys(errorCodes).sort())
  })

  it.each(Object.keys(errorCodes))('has a page for %s, for programs and for people', async (code) => {
    const send = docs()
    expect(await (await send(`/docs/errors/${code}`)).json()).toMatchObject({ code })
    const page = await send(`/docs/errors/${code}`, html)
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(await page.text()).toContain(`<code>${code}</code>`)
  })

  it('knows no other code', async () => {
    for (const code of ['nope', 'toString', '%3Cscript%3E']) {
      const response = await docs()(`/docs/errors/${code}`, html)
      expect(response.status).toBe(404)
      expect(response.headers.get('content-type')).toBe('application/problem+json')
    }
  })

  it('allows its one stylesheet by its hash', async () => {
    const response = await docs()('/docs/errors', html)
    const style = /<style>(.*)<\/style>/.exec(await response.text())?.[1] ?? ''
    const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(style))
    const hash = btoa(String.fromCharCode(...new Uint8Array(digest)))
    expect(response.headers.get('content-security-policy')).toContain(`style-src 'sha256-${hash}'`)
  })
})

it('GET / says what this is', async () => {
  const response = await docs()('/')
  expect(await response.json()).toMatchObject({ name: 'Helix', version: '0.0.0-test', links: { reference: '/docs' } })
})
