import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { recomputeDay } from '../../src/features/ledger/recompute.ts'
import { depsOver } from '../support/people.ts'
import { type AccountStack, addProvider, goodKey, ledgerRowOf, startAccountStack, team } from './accounts-kit.ts'

let world: AccountStack
beforeAll(async () => {
  world = await startAccountStack()
})
afterAll(() => world?.close())

describe('calls over an account', () => {
  it('cost what the organisation said, under the name that it gave, and the price stays on record', async () => {
    const us = await team(world.stack)
    const model = { name: 'house-model', upstream_name: 'gpt-4o', input_usd: 2, cached_input_usd: 1, output_usd: 10 }
    const id = await addProvider(us, world.mine, { keys: [goodKey('priced')], models: [model] })
    const response = await us.chat('house-model', 'fault:usage=1000/100')
    expect(response.headers.get('x-helix-cost-usd')).toBe('0.003')
    expect(world.mine.lastBody()).toMatchObject({ model: 'gpt-4o' })
    const row = await ledgerRowOf(world.stack, response)
    expect(row).toMatchObject({ provider: 'own', model: 'house-model', cost_nanos: '3000000' })
    const priceId = String(row.price_id)
    expect(priceId).toMatch(new RegExp(`^${id}/house-model@[0-9a-f]{16}$`))
    await us.api(`PATCH /providers/${id}`, { models: [{ ...model, input_usd: 4 }] })
    const dearer = await us.chat('house-model', 'fault:usage=1000/100')
    expect(dearer.headers.get('x-helix-cost-usd')).toBe('0.005')
    const { created_at } = await ledgerRowOf(world.stack, dearer)
    const day = new Date(Number(created_at) * 1000).toISOString().slice(0, 10)
    const books = await recomputeDay(depsOver(world.stack), { orgId: us.orgId, day })
    expect(books).toMatchObject({ wrong: 0, unpriced: 0 })
    expect(books.recomputed).toBe(books.charged)
    const prices = await world.stack.query('select id, figures from own_prices where org_id = $1 order by id', [
      us.orgId,
    ])
    expect(prices).toHaveLength(2)
    expect(prices.find((price) => price.id === priceId)).toMatchObject({
      figures: { base: { input: 2_000_000_000, cachedInput: 1_000_000_000, output: 10_000_000_000 } },
    })
  })

  it('cost what held when they began, whatever becomes of the price in mid-stream', async () => {
    const us = await team(world.stack)
    const modelsAt = (usd: number) => ({ models: [{ name: 'moving', input_usd: usd, output_usd: usd }] })
    const id = await addProvider(us, world.mine, { keys: [goodKey('moving')], ...modelsAt(1) })
    const response = await us.chat('moving', 'fault:pieces=50,slow=5', { stream: true })
    const reader = response.body?.getReader()
    expect((await reader?.read())?.done).toBe(false)
    expect(await us.api(`PATCH /providers/${id}`, modelsAt(10))).toMatchObject({ status: 200 })
    for (let part = await reader?.read(); part && !part.done; part = await reader?.read());
    const row = await ledgerRowOf(world.stack, response)
    expect(Number(row.cost_nanos)).toBe((Number(row.prompt_tokens) + Number(row.completion_tokens)) * 1000)
    const next = await ledgerRowOf(world.stack, await us.chat('moving'))
    expect(next.price_id).not.toBe(row.price_id)
    expect(Number(next.cost_nanos)).toBe((Number(next.prompt_tokens) + Number(next.completion_tokens)) * 10_000)
    const books = await recomputeDay(depsOver(world.stack), {
      orgId: us.orgId,
      day: new Date(Number(row.created_at) * 1000).toISOString().slice(0, 10),
    })
    expect(books).toMatchObject({ wrong: 0, unpriced: 0 })
  })
})
