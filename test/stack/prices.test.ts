import { afterAll, describe, expect, it } from 'vitest'
import { writePrices } from '../../scripts/catalog/write-prices.ts'
import { openPool } from '../../scripts/database.ts'
import { newId } from '../../src/core/ids.ts'
import { allPrices, findPrice, modelOf, modelsOf, nodePrice } from '../../src/features/catalog/service.ts'
import { storesHere } from '../support/stores.ts'

const { ownerUrl, systemUrl, proxyUrl } = storesHere()
const owner = openPool({ url: ownerUrl, proxyUrl })
const system = openPool({ url: systemUrl, proxyUrl })
afterAll(() => Promise.all([owner.end(), system.end()]))

const rowsOf = async (text: string, values: unknown[] = []) => (await system.query(text, values)).rows

describe('the prices of the catalog', () => {
  it('are found whole: each once, and that of nodes', () => {
    const all = allPrices()
    expect(new Set(all.map(({ price }) => price.id)).size).toBe(all.length)
    expect(all.map(({ price }) => price)).toContain(nodePrice)
    const ids = new Set(all.map(({ price }) => price.id))
    for (const { price } of [...modelsOf('openai'), ...modelsOf('openrouter')])
      if (price) expect(ids).toContain(price.id)
    for (const { price } of all) expect(findPrice(price.id)).toBe(price)
  })
})

describe('a migrated database', () => {
  it('has every price of the catalog, to the last figure', async () => {
    const rows = await rowsOf("select id, provider, model, figures from prices where provider <> 'zz'")
    expect(rows.length).toBe(allPrices().length)
    for (const { id, provider, model, figures } of rows) {
      const price = findPrice(id)
      expect(figures, id).toEqual({ base: price?.base, tiers: price?.tiers })
      if (id !== nodePrice.id) expect(modelOf(provider, model)?.price?.id).toBe(id)
    }
  })

  it('says of each where it comes from', async () => {
    const sources = new Map((await rowsOf('select id, source, valid_from from prices')).map((row) => [row.id, row]))
    const of = (vendor: string, name: string) => sources.get(modelOf(vendor, name)?.price?.id)
    expect(of('openai', 'gpt-4o')).toMatchObject({ source: expect.stringMatching(/^@pydantic\/genai-prices \d/) })
    expect(of('zai', 'glm-5')).toMatchObject({ source: 'https://docs.z.ai/guides/overview/pricing' })
    expect(of('openai', 'gpt-4o')?.valid_from).toMatch(/^\d{4}-\d{2}-\d{2}$/)
  })

  it('keeps what is there when it is migrated again, beside what is new', async () => {
    const figures = { input: 1, cachedInput: 1, cacheWrite: 1, output: 1 }
    const id = newId('zz', Date.now())
    const before = await rowsOf('select * from prices order by id')
    await writePrices(owner, [{ price: { id, base: figures, tiers: [] }, vendor: 'zz', model: 'new' }])
    await writePrices(owner, undefined, Date.now() + 86_400_000)
    const after = await rowsOf('select * from prices order by id')
    expect(after.filter((row) => row.id !== id)).toEqual(before)
    expect(after).toHaveLength(before.length + 1)
  })

  it('refuses other figures under an id that it has', async () => {
    const [first] = allPrices().filter(({ price }) => price.tiers.length > 0)
    if (!first) throw new Error('no price has tiers')
    const other = { ...first, price: { ...first.price, base: { ...first.price.base, output: 1 } } }
    await expect(writePrices(owner, [other])).rejects.toThrow(
      `other figures than this release's catalog: ${first.price.id}.`,
    )
    const [row] = await rowsOf('select figures from prices where id = $1', [first.price.id])
    expect(row?.figures.base).toEqual(first.price.base)
  })

  it.each([["update prices set figures = '{}'"], ['delete from prices']])('lets nobody do: %s', async (statement) => {
    await expect(owner.query(statement)).rejects.toThrow('a price is never changed')
    await expect(system.query(statement)).rejects.toThrow('permission denied')
  })
})
