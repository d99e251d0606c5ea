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

it('reads the body of a key, and says what is wrong with it', async () => {
  const { gateway, apiKey } = await startGateway()
  const request = post(apiKey)
  expect((await gateway(request)).status).toBe(400)
  expect(request.bodyUsed).toBe(true)
})
