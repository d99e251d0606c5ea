import { resource } from '../../http/resource.ts'
import { del, get, patch, post, type Route } from '../../http/route.ts'
import { bestFor } from './best.ts'
import { createProvider, deleteProvider, patchProvider, replaceProvider } from './changes.ts'
import { addCredential, deleteCredential, patchCredential } from './credentials.ts'
import { discoverModels } from './discover.ts'
import { credentialView, listProviders, readProvider, viewOf } from './rows.ts'
import {
  Best,
  BestQuery,
  CreateCredential,
  CredentialParams,
  CredentialView,
  Discovered,
  DiscoverModels,
  PatchCredential,
  PatchProvider,
  ProviderBody,
  ProviderParams,
  ProvidersQuery,
  ProviderView,
  Verified,
  VerifyProvider,
} from './schema.ts'
import { verifyProvider } from './verify.ts'

const provider = resource({
  at: '/api/v1/providers',
  area: 'providers',
  params: ProviderParams,
  view: ProviderView,
  viewOf,
})

const rowRoutes: readonly Route[] = [
  provider.list({
    summary: 'List the providers that the organisation has accounts of its own with',
    query: ProvidersQuery,
    run: listProviders,
  }),

  provider.create({
    summary: 'Add a provider',
    description:
      'Only calls of this organisation reach it, from the next one on, once it has a credential. One that is named as ' +
      'a vendor of the catalog takes that vendor’s place. At most 20 for an organisation.',
    body: ProviderBody,
    run: createProvider,
  }),

  get(
    '/api/v1/providers/best',
    {
      summary: 'Show where a call would go that leaves the choice to the gateway',
      scope: 'providers:read',
      query: BestQuery,
      response: Best,
    },
    async (ctx, { query }) => {
      const { target, reason } = await bestFor(ctx, query.capability)
      const { provider, model } = target
      return { provider: provider.name, model, is_own: provider.account !== undefined, reason }
    },
  ),

  post(
    '/api/v1/providers/discover',
    {
      summary: 'Ask a provider for its models',
      description: 'What it has, and what of it is known to the catalog or described as a model of its own.',
      scope: 'providers:write',
      body: DiscoverModels,
      response: Discovered,
    },
    (ctx, { body }) => discoverModels(ctx, body.provider_id),
  ),

  provider.read({ summary: 'Show a provider', run: readProvider }),

  provider.replace({
    summary: 'Replace a provider',
    description:
      'Fields that are left out get their defaults. Its credentials stay, unless it moves to another address: then they ' +
      'are deleted and have to be entered again.',
    body: ProviderBody,
    run: replaceProvider,
  }),

  provider.change({
    summary: 'Change a provider',
    description: 'What is absent stays as it is. Moved to another address it loses its credentials.',
    body: PatchProvider,
    run: patchProvider,
  }),

  provider.remove({
    summary: 'Delete a provider',
    description: 'The next call does not reach it any more, and its credentials are gone at once.',
    run: deleteProvider,
  }),

  post(
    '/api/v1/providers/:id/verify',
    {
      summary: 'Try a provider',
      description:
        'Asks it with each credential in use for its models and for one token of one of them, which the organisation’s ' +
        'own account there pays for: it is in no ledger here. A credential that works and was put aside is used again.',
      scope: 'providers:write',
      params: ProviderParams,
      body: VerifyProvider,
      response: Verified,
    },
    (ctx, { params, body }) => verifyProvider(ctx, params.id, body.model),
  ),
]

const credentialRoutes: readonly Route[] = [
  post(
    '/api/v1/providers/:id/credentials',
    {
      summary: 'Add a credential of a provider',
      description:
        'The key is encrypted for this one place and shown by no answer. Credentials are used in the order in which they ' +
        'were added: one that is refused is put aside for five minutes, and the next does its work. At most five.',
      scope: 'providers:write',
      params: ProviderParams,
      body: CreateCredential,
      response: CredentialView,
      status: 201,
    },
    async (ctx, { params, body }) => credentialView(await addCredential(ctx, params.id, body)),
  ),

  patch(
    '/api/v1/providers/:id/credentials/:credential_id',
    {
      summary: 'Change a credential of a provider',
      description: 'Its label, and whether it is in use. Set to be in use, one that was put aside is tried again.',
      scope: 'providers:write',
      params: CredentialParams,
      body: PatchCredential,
      response: CredentialView,
    },
    async (ctx, { params, body }) => credentialView(await patchCredential(ctx, params, body)),
  ),

  del(
    '/api/v1/providers/:id/credentials/:credential_id',
    {
      summary: 'Delete a credential of a provider',
      description: 'The next call does not use it any more.',
      scope: 'providers:write',
      params: CredentialParams,
    },
    async (ctx, { params }) => {
      await deleteCredential(ctx, params)
      return undefined
    },
  ),
]

export const routes: readonly Route[] = [...credentialRoutes, ...rowRoutes]
