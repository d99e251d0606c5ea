import { describe, expect, it } from 'vitest'
import { errorIn } from '../../support/client-error.ts'
import { startGateway } from '../../support/gateway.ts'

const budgets = [{ id: 'bud_1', window: 'total' as const, limitNanoUsd: 100_000_000_000 }]
const choices = [{ index: 0, message: { role: 'assistant', content: 'Hi' }, finish_reason: 'stop' }]
const answer = () => Response.json({ id: 'c', model: 'm', choices, usage: { prompt_tokens: 9, completion_tokens: 1 } })

const file = { type: 'file', file: { file_id: 'file-1' } }
const ask = (model: string, ...content: unknown[]) => ({ model, messages: [{ role: 'user', content }] })
/** Has a price, and no window that anybody told us. */
const WINDOWLESS = 'openai/gpt-3.5-turbo-0301'

describe('under a hard budget', () => {
  it('a part of unknown size is refused where the window is unknown, before anything is sent or held', async () => {
    const gateway = await startGateway({ policy: { budgets }, upstream: answer })
    const response = await gateway.chat(ask(WINDOWLESS, file))
    expect(await errorIn(response)).toMatchObject({ status: 400, code: 'invalid_request', param: 'messages' })
    expect(gateway.sent).toEqual([])
    expect(await gateway.rows()).toEqual([])
    expect(gateway.ledger.openHolds()).toBe(0)
  })

  it('a part of unknown size holds the whole window where that is known', async () => {
    const held: number[] = []
    const gateway = await startGateway({
      policy: { budgets },
      upstream: () => {
        held.push(gateway.ledger.heldNanoUsd())
        return answer()
      },
    })
    expect((await gateway.chat(ask('openai/gpt-4o', file))).status).toBe(200)
    expect((await gateway.chat(ask('openai/gpt-4o', { type: 'text', text: 'Hi' }))).status).toBe(200)
    // 128 000 tokens at 2.50 USD a million.
    expect((held[0] ?? 0) - (held[1] ?? 0)).toBeGreaterThan(300_000_000)
    await gateway.rows()
    expect(gateway.ledger.heldNanoUsd()).toBe(0)
  })

  it('text is served by a model of unknown window', async () => {
    const gateway = await startGateway({ policy: { budgets }, upstream: answer })
    expect((await gateway.chat(ask(WINDOWLESS, { type: 'text', text: 'Hi' }))).status).toBe(200)
  })

  it('and without one, parts of any size go to any model', async () => {
    const gateway = await startGateway({ upstream: answer })
    expect((await gateway.chat(ask(WINDOWLESS, file))).status).toBe(200)
  })
})
