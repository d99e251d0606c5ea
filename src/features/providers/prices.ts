import type { AccountModel } from '../../core/accounts.ts'
import { nanoFromUsd } from '../../core/money.ts'
import type { OwnModel } from './table.ts'

type Figures = NonNullable<AccountModel['price']>['base']

/**
 * What a model costs, in nano-USD per million tokens; undefined until enough is told to compute a call from: the price of
 * input and, for what writes, of output. A cache costs what input does unless said.
 */
export function figuresOf(model: OwnModel): Figures | undefined {
  const { kind, input_usd, cached_input_usd = input_usd, cache_write_usd = input_usd, output_usd } = model
  const output = kind === 'embedding' ? (output_usd ?? 0) : output_usd
  if (input_usd === undefined || output === undefined) return undefined
  return {
    input: nanoFromUsd(input_usd),
    cachedInput: nanoFromUsd(cached_input_usd ?? input_usd),
    cacheWrite: nanoFromUsd(cache_write_usd ?? input_usd),
    output: nanoFromUsd(output),
  }
}

/** The model with the id of its price, which says exactly which figures it is. */
export async function withPriceId(providerId: string, { price_id: _earlier, ...model }: OwnModel): Promise<OwnModel> {
  const figures = figuresOf(model)
  if (!figures) return model
  const { input, cachedInput, cacheWrite, output } = figures
  const text = JSON.stringify([input, cachedInput, cacheWrite, output])
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))
  const hash = Buffer.from(digest).toString('hex').slice(0, 16)
  return { ...model, price_id: `${providerId}/${model.name}@${hash}` }
}

/** A stored model as policies carry it. */
export function modelFacts(model: OwnModel): AccountModel {
  const { name, kind, upstream_name, context_window, max_output_tokens, capabilities, price_id } = model
  const base = figuresOf(model)
  return {
    name,
    kind,
    ...(upstream_name !== undefined && { upstreamName: upstream_name }),
    ...(context_window !== undefined && { contextWindow: context_window }),
    ...(max_output_tokens !== undefined && { maxOutputTokens: max_output_tokens }),
    ...(capabilities !== undefined && { capabilities }),
    ...(base && price_id !== undefined && { price: { id: price_id, base } }),
  }
}
