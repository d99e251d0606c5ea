import { describe, expect, it } from 'vitest'
import { type Sent, startGateway } from '../../support/gateway.ts'

const members = ['openai/gpt-4o', 'mistral/mistral-large-latest', 'deepseek/deepseek-chat']
const messages = [{ role: 'user', content: 'What is six times seven?' }]

const start = (upstream: (sent: Sent) => Response | Promise<Response>) =>
  startGateway({ vendors: ['openai', 'mistral', 'deepseek'], upstream })

const chunk = (content: string, finish_reason: string | null) =>
  `data: ${JSON.stringify({
    id: 'chatcmpl-1',
    object: 'chat.completion.chunk',
    created: 1,
    model: 'm',
    choices: [{ index: 0, delta: { content }, finish_reason }],
  })}\n\n`

const streamOf = (start: (controller: ReadableStreamDefaultController<Uint8Array>) => void) =>
  new Response(new ReadableStream({ start }), { headers: { 'content-type': 'text/event-stream' } })

const bytes = (text: string) => new TextEncoder().encode(text)

describe('a time that the caller names', () => {
  it.each([
    ['ensemble_config', { ensemble_config: { members, stream_first: true, timeout_ms: 1000 } }],
    ['helix', { ensemble_config: { members, stream_first: true }, helix: { timeout_ms: 1000 } }],
  ])(
    'in %s ends members of a stream that hang, before they begin or behind their first word',
    async (_where, given) => {
      let hangs = false
      const gateway = await start(({ to }) => {
        if (hangs && to === 'mistral') return new Promise<Response>(() => undefined)
        return streamOf((controller) => {
          controller.enqueue(bytes(chunk('42', null)))
          if (hangs && to === 'deepseek') return
          controller.enqueue(bytes(`${chunk('', 'stop')}data: [DONE]\n\n`))
          controller.close()
        })
      })
      // What is loaded at the first call takes time of its own.
      await (await gateway.call('/v1/ensemble/completions', { messages, stream: true })).text()
      await gateway.rows()
      hangs = true
      const response = await gateway.call('/v1/ensemble/completions', { messages, stream: true, ...given })
      expect(await response.text()).toContain('[DONE]')
      const rows = (await gateway.rows()).slice(-4)
      expect(rows.map(({ provider, status }) => `${provider} ${status}`).sort()).toEqual([
        'deepseek error',
        'helix ok',
        'mistral error',
        'openai ok',
      ])
      // Each of them waited no longer than it was given, however busy this machine is.
      for (const { to, signal } of gateway.sent.slice(-3)) expect([to, signal.aborted]).toEqual([to, to !== 'openai'])
    },
  )
})
