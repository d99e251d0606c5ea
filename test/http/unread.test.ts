import { expect, it } from 'vitest'
import { startGateway } from '../support/gateway.ts'

const post = (credential: string) =>
  new Request('http://gateway.test/v1/chat/completions', {
    method: 'POST',
    headers: { authorization: `Bearer ${credential}`, 'content-type': 'application/json' },
    body: 'x'.repeat(100_000),
  })

it('does not read what comes with a credential that cannot be a key', async () => {
  const { gateway } = await startGateway()
  const request = post('hx_live_nonsense')
  expect((await gateway(request)).status).toBe(401)
  expect(request.bodyUsed).toBe(false)
})

it('reads nothing of a caller who may not come in, where the price of a call does not depend on it', async () => {
  const { gateway, apiKey } = await startGateway()
  const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' }
  const body = JSON.stringify({ name: 'x'.repeat(100_000) })
  const request = new Request('http://gateway.test/api/v1/keys', { method: 'POST', headers, body })
  expect((await gateway(request)).status).toBe(403)
  expect(request.bodyUsed).toBe(false)
})

it('reads the body of a key, and says what is wrong with it', async () => {
  const { gateway, apiKey } = await startGateway()
  const request = post(apiKey)
  expect((await gateway(request)).status).toBe(400)
  expect(request.bodyUsed).toBe(true)
})
