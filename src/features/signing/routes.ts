import * as z from 'zod'
import { get } from '../../http/route.ts'
import { publishedKeys } from './ring.ts'

const Jwks = z.object({
  keys: z.array(
    z.object({
      kty: z.literal('EC'),
      crv: z.literal('P-256'),
      x: z.string(),
      y: z.string(),
      kid: z.string(),
      alg: z.literal('ES256'),
      use: z.literal('sig'),
    }),
  ),
})

export const routes = [
  get(
    '/.well-known/jwks.json',
    {
      summary: 'The public keys that access tokens are signed with',
      description: 'As a JSON Web Key Set (RFC 7517): the key in use, the one to come and those that lately retired.',
      scope: 'public',
      response: Jwks,
    },
    async (ctx) => {
      const keys = (await publishedKeys(ctx)).map(({ kid, jwk }) => ({ ...jwk, kid, alg: 'ES256', use: 'sig' }))
      return Response.json(Jwks.parse({ keys }), { headers: { 'cache-control': 'public, max-age=300' } })
    },
  ),
]
