import { toPage } from '../../http/page.ts'
import { del, get, post, put } from '../../http/route.ts'
import { createSecret, deleteSecret, replaceSecret } from './changes.ts'
import { revealSecret } from './reveal.ts'
import { listSecrets, readSecret, viewOf } from './rows.ts'
import {
  CreateSecret,
  ReplaceSecret,
  RevealedSecret,
  RevealSecret,
  SecretPage,
  SecretParams,
  SecretsQuery,
  SecretView,
} from './schema.ts'

export const routes = [
  get(
    '/api/v1/secrets',
    {
      summary: 'List secrets',
      description: 'What is known of them without their values. Members see the secrets of their own agents only.',
      scope: 'secrets:read',
      query: SecretsQuery,
      response: SecretPage,
    },
    async (ctx, { query }) => toPage((await listSecrets(ctx, query)).map(viewOf), query.limit),
  ),

  post(
    '/api/v1/secrets',
    {
      summary: 'Store a secret',
      description: 'The value is encrypted for this one place and shown by no answer but that of a reveal.',
      scope: 'secrets:write',
      body: CreateSecret,
      response: SecretView,
      status: 201,
    },
    async (ctx, { body }) => viewOf(await createSecret(ctx, body)),
  ),

  get(
    '/api/v1/secrets/:id',
    { summary: 'Show a secret without its value', scope: 'secrets:read', params: SecretParams, response: SecretView },
    async (ctx, { params }) => viewOf(await readSecret(ctx, params.id)),
  ),

  put(
    '/api/v1/secrets/:id',
    {
      summary: 'Replace a secret',
      description: 'A value that is left out stays; a description that is left out is gone. The version grows by one.',
      scope: 'secrets:write',
      params: SecretParams,
      body: ReplaceSecret,
      response: SecretView,
    },
    async (ctx, { params, body }) => viewOf(await replaceSecret(ctx, params.id, body)),
  ),

  del(
    '/api/v1/secrets/:id',
    {
      summary: 'Delete a secret',
      description: 'Its value is overwritten at once; its name is free again.',
      scope: 'secrets:write',
      params: SecretParams,
    },
    async (ctx, { params }) => {
      await deleteSecret(ctx, params.id)
      return undefined
    },
  ),

  post(
    '/api/v1/secrets/:id/reveal',
    {
      summary: 'Show the value of a secret',
      description:
        'For administrators and owners who are signed in; a key never gets it. It is written to the audit log, with the ' +
        'reason, before the value leaves. Ten tries an hour and person. An Idempotency-Key changes nothing.',
      scope: 'secrets:write',
      params: SecretParams,
      body: RevealSecret,
      response: RevealedSecret,
      isKept: false,
    },
    async (ctx, { params, body }) => ({ value: await revealSecret(ctx, params.id, body.reason) }),
  ),
]
