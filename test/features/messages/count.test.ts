import { describe, expect, it } from 'vitest'
import { startGateway, type TestGatewayOptions } from '../../support/gateway.ts'

const hello = [{ role: 'user', content: 'Hi' }]

const start = (options: TestGatewayOptions = {}) =>
  startGateway({
    vendors: ['openai', 'anthropic'],
    upstream: () => Response.json({ input_tokens: 42 }),
    ...options,
  })
type Gateway = Awaited<ReturnType<typeof start>>

describe('POST /v1/messages/count_tokens', () => {
  const count = (gateway: Gateway, fields: object) =>
    gateway.call('/v1/messages/count_tokens', { model: 'gpt-4o', messages: hello, ...fields })

  it('asks the target that would answer', async () => {
    const gateway = await start()
    const response = await count(gateway, { model: 'anthropic/claude-sonnet-4-5', system: 'Be brief.' })
    expect(await response.json()).toEqual({ input_tokens: 42 })
    expect(response.headers.get('x-helix-estimated')).toBeNull()
    expect(gateway.sent[0]?.body).toEqual({ model: 'claude-sonnet-4-5', messages: hello, system: 'Be brief.' })
    expect(await gateway.rows()).toEqual([])
  })

  it('estimates where nobody counts', async () => {
    const gateway = await start()
    const response = await count(gateway, { messages: [{ role: 'user', content: 'One two three four five.' }] })
    expect(response.headers.get('x-helix-estimated')).toBe('true')
    const { input_tokens: tokens } = (await response.json()) as { input_tokens: number }
    expect(tokens).toBeGreaterThanOrEqual(6)
    expect(tokens).toBeLessThan(30)
    expect(gateway.sent).toEqual([])
  })

  it('estimates where its target fails, and passes on what it finds wrong', async () => {
    const gateway = await start({ upstream: () => new Response('down', { status: 503 }) })
    const model = 'anthropic/claude-sonnet-4-5'
    expect((await count(gateway, { model })).headers.get('x-helix-estimated')).toBe('true')
    const error = { type: 'error', error: { type: 'invalid_request_error', message: 'messages: odd' } }
    gateway.upstream(() => Response.json(error, { status: 400 }))
    const refused = await count(gateway, { model })
    expect([refused.status, await refused.json()]).toMatchObject([400, { error: error.error }])
  })

  it('knows the models', async () => {
    const response = await count(await start(), { model: 'no-such-model' })
    expect([response.status, await response.json()]).toMatchObject([404, { error: { type: 'not_found_error' } }])
  })
})
