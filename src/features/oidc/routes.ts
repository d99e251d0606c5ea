import type * as z from 'zod'
import { PageQuery } from '../../http/page.ts'
import { resource } from '../../http/resource.ts'
import { post, type Route } from '../../http/route.ts'
import { checkIssuer } from './check.ts'
import { createProvider, deleteProvider, listProviders, readProvider, replaceProvider } from './providers.ts'
import { checkProvider } from './rules.ts'
import { ProviderBody, ProviderCheck, ProviderPath, ProviderView } from './schema.ts'

const issuer = resource({
  at: '/api/v1/oidc-providers',
  area: 'org',
  params: ProviderPath,
  view: ProviderView,
  viewOf: (view: z.input<typeof ProviderView>) => view,
})

export const routes: readonly Route[] = [
  issuer.list({ summary: 'List the issuers that the organisation trusts', query: PageQuery, run: listProviders }),

  issuer.create({
    summary: 'Trust an issuer of OpenID Connect or workload tokens',
    description: 'Its tokens can then be exchanged at POST /api/v1/auth/exchange. At most ten for an organisation.',
    body: ProviderBody,
    run: (ctx, body) => createProvider(ctx, checkProvider(ctx, body)),
  }),

  issuer.read({ summary: 'Show a trusted issuer', run: readProvider }),

  issuer.replace({
    summary: 'Replace a trusted issuer',
    description: 'Fields that are left out get their defaults. Sessions that were opened through it end.',
    body: ProviderBody,
    run: (ctx, id, body) => replaceProvider(ctx, id, checkProvider(ctx, body)),
  }),

  issuer.remove({
    summary: 'Trust an issuer no longer',
    description: 'Sessions that were opened through it end.',
    run: deleteProvider,
  }),

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
