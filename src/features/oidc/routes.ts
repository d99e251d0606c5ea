import { PageQuery, toPage } from '../../http/page.ts'
import { del, get, post, put, type Route } from '../../http/route.ts'
import { checkIssuer } from './check.ts'
import { createProvider, deleteProvider, listProviders, readProvider, replaceProvider } from './providers.ts'
import { checkProvider } from './rules.ts'
import { ProviderBody, ProviderCheck, ProviderPage, ProviderPath, ProviderView } from './schema.ts'

export const routes: readonly Route[] = [
  get(
    '/api/v1/oidc-providers',
    {
      summary: 'List the issuers that the organisation trusts',
      scope: 'org:read',
      query: PageQuery,
      response: ProviderPage,
    },
    async (ctx, { query }) => toPage(await listProviders(ctx, query), query.limit),
  ),
  post(
    '/api/v1/oidc-providers',
    {
      summary: 'Trust an issuer of OpenID Connect or workload tokens',
      description: 'Its tokens can then be exchanged at POST /api/v1/auth/exchange. At most ten for an organisation.',
      scope: 'org:write',
      body: ProviderBody,
      response: ProviderView,
      status: 201,
    },
    (ctx, { body }) => createProvider(ctx, checkProvider(ctx, body)),
  ),
  get(
    '/api/v1/oidc-providers/:id',
    { summary: 'Show a trusted issuer', scope: 'org:read', params: ProviderPath, response: ProviderView },
    (ctx, { params }) => readProvider(ctx, params.id),
  ),
  put(
    '/api/v1/oidc-providers/:id',
    {
      summary: 'Replace a trusted issuer',
      description: 'Fields that are left out get their defaults. Sessions that were opened through it end.',
      scope: 'org:write',
      params: ProviderPath,
      body: ProviderBody,
      response: ProviderView,
    },
    (ctx, { params, body }) => replaceProvider(ctx, params.id, checkProvider(ctx, body)),
  ),
  del(
    '/api/v1/oidc-providers/:id',
    {
      summary: 'Trust an issuer no longer',
      description: 'Sessions that were opened through it end.',
      scope: 'org:write',
      params: ProviderPath,
    },
    async (ctx, { params }) => {
      await deleteProvider(ctx, params.id)
      return undefined
    },
  ),
  post(
    '/api/v1/oidc-providers/:id/test',
    {
      summary: 'Fetch what a trusted issuer publishes',
      description: 'Reads its discovery document and keys as an exchange would. A failure is an answer: ok is false.',
      scope: 'org:write',
      params: ProviderPath,
      response: ProviderCheck,
    },
    async (ctx, { params }) => checkIssuer(ctx, await readProvider(ctx, params.id)),
  ),
]
