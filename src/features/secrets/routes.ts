import { resource } from '../../http/resource.ts'
import { post } from '../../http/route.ts'
import { createSecret, deleteSecret, replaceSecret } from './changes.ts'
import { revealSecret } from './reveal.ts'
import { listSecrets, readSecret, viewOf } from './rows.ts'
import {
  CreateSecret,
  ReplaceSecret,
  RevealedSecret,
  RevealSecret,
  SecretParams,
  SecretsQuery,
  SecretView,
} from './schema.ts'

const secret = resource({ at: '/api/v1/secrets', area: 'secrets', params: SecretParams, view: SecretView, viewOf })

export const routes = [
  secret.list({
    summary: 'List secrets',
    description: 'What is known of them without their values. Members see the secrets of their own agents only.',
    query: SecretsQuery,
    run: listSecrets,
  }),

  secret.create({
    summary: 'Store a secret',
    description: 'The value is encrypted for this one place and shown by no answer but that of a reveal.',
    body: CreateSecret,
    run: createSecret,
  }),

  secret.read({ summary: 'Show a secret without its value', run: readSecret }),

  secret.replace({
    summary: 'Replace a secret',
    description: 'A value that is left out stays; a description that is left out is gone. The version grows by one.',
    body: ReplaceSecret,
    run: replaceSecret,
  }),

  secret.remove({
    summary: 'Delete a secret',
    description: 'Its value is overwritten at once; its name is free again.',
    run: deleteSecret,
  }),

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
