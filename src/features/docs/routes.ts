import * as z from 'zod'
import { notFound } from '../../core/errors.ts'
import { isSameEtag } from '../../http/etag.ts'
import { get } from '../../http/route.ts'
import { printedDocument } from './document.ts'
import {
  allErrorPages,
  errorHtml,
  errorListHtml,
  errorPolicy,
  findErrorPage,
  referencePage,
  referencePolicy,
} from './page.ts'

const FIVE_MINUTES = 'public, max-age=300'

const Index = z.object({
  name: z.string(),
  version: z.string(),
  links: z.object({ reference: z.string(), openapi: z.string(), errors: z.string(), health: z.string() }),
})

const ErrorPage = z.object({
  code: z.string(),
  status: z.int(),
  type: z.string(),
  retryable: z.boolean(),
  cause: z.string(),
  remedy: z.string(),
})

const ErrorList = z.object({ object: z.literal('list'), data: z.array(ErrorPage) })

const htmlResponse = (html: string, policy: string) =>
  new Response(html, {
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'cache-control': FIVE_MINUTES,
      'content-security-policy': policy,
      vary: 'accept',
    },
  })

const wantsHtml = (request: Request) => request.headers.get('accept')?.includes('text/html') === true

export const routes = [
  get('/', { summary: 'What this is and where to read on', scope: 'public', response: Index }, ({ settings }) => ({
    name: 'Helix',
    version: settings.version,
    links: { reference: '/docs', openapi: '/openapi.json', errors: '/docs/errors', health: '/health' },
  })),

  get(
    '/openapi.json',
    {
      summary: 'The OpenAPI 3.1 document of every endpoint',
      description: 'Made from the running routes. Answers 304 when `if-none-match` names the current `etag`.',
      scope: 'public',
      raw: ['application/json'],
    },
    async ({ settings }, _input, request) => {
      const { text, etag } = await printedDocument(settings)
      const headers = { etag, 'cache-control': FIVE_MINUTES }
      if (isSameEtag(request.headers.get('if-none-match'), etag)) return new Response(null, { status: 304, headers })
      return new Response(text, { headers: { ...headers, 'content-type': 'application/json' } })
    },
  ),

  get('/docs', { summary: 'The interactive reference', scope: 'public', raw: ['text/html'] }, () =>
    htmlResponse(referencePage, referencePolicy),
  ),

  get(
    '/docs/scalar.js',
    { summary: 'The script of the interactive reference', scope: 'public', raw: ['text/javascript'] },
    async ({ assets }, _input, request) => {
      if (assets === undefined) throw notFound('file in this deployment')
      return assets.fetch(request)
    },
  ),

  get(
    '/docs/errors',
    { summary: 'Every error code with its cause and remedy', scope: 'public', response: ErrorList, raw: ['text/html'] },
    async (_ctx, _input, request) =>
      wantsHtml(request)
        ? htmlResponse(errorListHtml(), await errorPolicy())
        : { object: 'list' as const, data: allErrorPages() },
  ),

  get(
    '/docs/errors/:code',
    {
      summary: 'One error code with its cause and remedy',
      description: 'The `type` of a problem points here.',
      scope: 'public',
      params: z.object({ code: z.string() }),
      response: ErrorPage,
      raw: ['text/html'],
    },
    async (_ctx, { params }, request) => {
      const found = findErrorPage(params.code)
      if (found === undefined) throw notFound('error code')
      return wantsHtml(request) ? htmlResponse(errorHtml(found), await errorPolicy()) : found
    },
  ),
]
