import { resource } from '../../http/resource.ts'
import { post } from '../../http/route.ts'
import { type MadeKey, makeKey, patchKey, revokeKey, rotateKey } from './changes.ts'
import { listKeys, readKey, viewOf } from './rows.ts'
import {
  CreateKey,
  KeyParams,
  KeysQuery,
  KeyView,
  NewKeyView,
  PatchKey,
  RotateKey,
  VerifiedKey,
  VerifyKey,
} from './schema.ts'
import { verify } from './verify.ts'

const withSecret = ({ row, secret }: MadeKey) => ({ ...viewOf(row), secret })

const key = resource({ at: '/api/v1/keys', area: 'keys', params: KeyParams, view: KeyView, viewOf })

export const routes = [
  key.list({
    summary: 'List API keys',
    description: 'A member sees their own; administrators, owners and keys that belong to nobody see all.',
    query: KeysQuery,
    run: listKeys,
  }),

  post(
    '/api/v1/keys',
    {
      summary: 'Create an API key',
      description:
        'The answer holds the key itself, this once. It can do no more than its maker: a scope that they do not hold is ' +
        'refused, and one that they lose later is lost to the key at once. A key that makes keys hands on its own ' +
        'restrictions and its agent, not its own budgets: those of its person and its agent bind the new key, too. An ' +
        'organisation has at most 100 keys that work.',
      scope: 'keys:write',
      body: CreateKey,
      response: NewKeyView,
      status: 201,
    },
    async (ctx, { body }) => withSecret(await makeKey(ctx, body)),
  ),

  post(
    '/api/v1/keys/verify',
    {
      summary: 'Tell what a key may do',
      description:
        'For keys of your own organisation that work. Everything else, be it unknown, revoked or of someone else, ' +
        'gets the same answer.',
      scope: 'keys:read',
      body: VerifyKey,
      response: VerifiedKey,
    },
    async (ctx, { body }) => verify(ctx, body.key),
  ),

  key.read({ summary: 'Get an API key', run: readKey }),

  key.change({
    summary: 'Change an API key',
    description:
      'What is absent stays as it is; null lifts a restriction. It holds from the next call on. A key that is ' +
      'revoked, has ended or was replaced does not change any more (409).',
    body: PatchKey,
    run: patchKey,
  }),

  key.remove({
    summary: 'Revoke an API key',
    description: 'It is refused from the next call on, for good. Revoking it again changes nothing and answers 204.',
    run: revokeKey,
  }),

  post(
    '/api/v1/keys/:id/rotate',
    {
      summary: 'Replace an API key',
      description:
        'The new key has the name, owner, agent and restrictions of the old one, what that may do now, and as long a ' +
        'life; limits and budgets bind both, and go on. The old one ends with the overlap. A key is replaced once; with ' +
        'no overlap it makes room for its successor.',
      scope: 'keys:write',
      params: KeyParams,
      body: RotateKey,
      response: NewKeyView,
      status: 201,
    },
    async (ctx, { params, body }) => withSecret(await rotateKey(ctx, params.id, body.overlap_seconds)),
  ),
]
