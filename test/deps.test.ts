import { describe, expect, it } from 'vitest'
import { createDeps } from '../src/deps.ts'
import { parseEnv } from '../src/env.ts'

const settings = parseEnv({
  DATABASE_URL: 'postgresql://helix_app:secret@db.acme.com/helix',
  UPSTASH_REDIS_REST_URL: 'https://redis.acme.com',
  UPSTASH_REDIS_REST_TOKEN: 'token',
  KEY_PEPPER: 'a pepper of thirty-two characters',
  PASSWORD_PEPPER: 'one more pepper of thirty-two characters',
  KEK_CURRENT: 'dGhpcnR5LXR3byBieXRlcywgbm90IG9uZSBtb3JlISE=',
  OLLAMA_BASE_URL: 'https://gpu.acme.com',
  JWT_ISSUER: 'https://helix.acme.com',
})
const unasked = () => {
  throw new Error('nobody asks a ledger here')
}
const { outbound } = createDeps(settings, { LEDGER: { getByName: unasked } })

describe('the way out to an address that somebody named', () => {
  it.each([
    ['the gateway itself', 'https://helix.acme.com/v1/chat/completions'],
    ['the store of admission', 'https://redis.acme.com/get/key'],
    ['a node of the installation', 'https://gpu.acme.com/api/tags'],
  ])('does not lead to %s', async (_what, url) => {
    for (const purpose of ['account', 'public'] as const) {
      const sent = outbound({ url, purpose, headersTimeoutMs: 1000 })
      await expect(sent).rejects.toMatchObject({ fault: 'blocked', cause: 'denied_host' })
    }
  })
})
