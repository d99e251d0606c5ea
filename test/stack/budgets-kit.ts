import { expect } from 'vitest'
import * as z from 'zod'
import { keyOf, person } from '../support/people.ts'
import type { Stack } from '../support/stack.ts'

const Budget = z.object({
  id: z.string(),
  subject_id: z.string(),
  parent_run_id: z.string().nullable(),
  limit_usd: z.number(),
  hard: z.boolean(),
  name: z.string().nullable(),
})
const Spend = z.object({
  settled_usd: z.number(),
  held_usd: z.number(),
  remaining_usd: z.number(),
  percent: z.number(),
  window_start: z.int().nullable(),
  forecast_usd: z.number().nullable(),
})

/** An organisation with somebody who governs it and a key that somebody of it made. */
export async function budgetWorld(stack: Stack) {
  const owner = await person(stack)
  const { orgId, userId } = owner
  const { apiKey, keyId } = await keyOf(stack, { orgId, userId })
  const send = (method: string, path: string, body?: unknown) =>
    stack.call(owner.accessToken, `/api/v1/budgets${path}`, body, { method })
  const make = async (given: Record<string, unknown>) => {
    const response = await send('POST', '', { subject_kind: 'org', subject_id: orgId, window: 'total', ...given })
    expect(response.status, await response.clone().text()).toBe(201)
    return Budget.parse(await response.json())
  }
  const spendOf = async (id: string) => Spend.parse(await (await send('GET', `/${id}/spend`)).json())
  /** 30 tokens in and 50 out by the vendor's own count: 575,000 nano-USD on gpt-4o. */
  const chat = (given: Record<string, unknown> = {}, credential = apiKey) =>
    stack.call(credential, '/v1/chat/completions', {
      model: 'gpt-4o',
      messages: [{ role: 'user', content: 'Hello fault:usage=30/50' }],
      max_tokens: 60,
      ...given,
    })
  return { orgId, userId, keyId, apiKey, owner, send, make, spendOf, chat }
}

export const CALL_USD = 0.000575

export const codeIn = async (response: Response): Promise<unknown> =>
  z.object({ error: z.object({ code: z.string() }) }).parse(await response.json()).error.code

/** A call that is answered, once its settlement has been counted. */
export async function pay(
  { chat, spendOf }: Awaited<ReturnType<typeof budgetWorld>>,
  id: string,
  given = {},
): Promise<void> {
  const before = (await spendOf(id)).settled_usd
  const response = await chat(given)
  expect(response.status, await response.text()).toBe(200)
  await expect.poll(async () => (await spendOf(id)).settled_usd).toBeGreaterThan(before)
}
