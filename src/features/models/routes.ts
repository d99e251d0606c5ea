import * as z from 'zod'
import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { usdFromNano } from '../../core/money.ts'
import { get } from '../../http/route.ts'
import { knowsNodes, learnNodes, listTargets, refreshNodes, type Target } from '../routing/service.ts'

/** OpenAI clients want a time; the catalog keeps none that would be true for every vendor. */
const CREATED = 0

const Details = z.object({
  capabilities: z.array(z.string()),
  context_window: z.int().nullable(),
  max_output_tokens: z.int().nullable(),
  /** USD per 1,000,000 tokens; null when no price is known. */
  prices: z.object({ input_usd: z.number(), cached_input_usd: z.number(), output_usd: z.number() }).nullable(),
})

const Model = z.object({
  id: z.string(),
  object: z.literal('model'),
  created: z.int(),
  owned_by: z.string(),
  helix: Details.optional(),
})

const Query = z.object({ details: z.enum(['true', 'false']).optional() })

export const routes = [
  get(
    '/v1/models',
    {
      summary: 'List the models that this key may use',
      scope: 'models:read',
      query: Query,
      response: z.object({ object: z.literal('list'), data: z.array(Model) }),
    },
    async (ctx, { query }) => {
      const targets = await visible(ctx)
      return { object: 'list' as const, data: targets.map((target) => view(target, query.details === 'true')) }
    },
  ),

  get(
    '/v1/models/:model{.+}',
    {
      summary: 'Get a model',
      description: 'By the name a vendor or node knows it by, or as `vendor/model`.',
      scope: 'models:read',
      params: z.object({ model: z.string().min(1).max(320) }),
      query: Query,
      response: Model,
    },
    async (ctx, { params, query }) => {
      const targets = await visible(ctx)
      const found = targets.find(({ id }) => id === params.model) ?? targets.find(({ model }) => model === params.model)
      if (!found)
        throw new AppError('model_not_found', `The model '${params.model}' does not exist.`, { param: 'model' })
      return view(found, query.details === 'true')
    },
  ),
]

async function visible(ctx: Ctx): Promise<Target[]> {
  if (!knowsNodes(ctx)) await learnNodes(ctx)
  refreshNodes(ctx)
  return listTargets(ctx, ctx.admission.policy)
}

/** The id is one that chat accepts as it is and that names this target alone. */
function view({ id, provider, entry, price }: Target, details: boolean): z.input<typeof Model> {
  const model = { id, object: 'model' as const, created: CREATED, owned_by: provider.name }
  if (!details) return model
  return {
    ...model,
    helix: {
      capabilities: [...(entry?.capabilities ?? [])],
      context_window: entry?.contextWindow ?? null,
      max_output_tokens: entry?.maxOutputTokens ?? null,
      prices: price
        ? {
            input_usd: usdFromNano(price.base.input),
            cached_input_usd: usdFromNano(price.base.cachedInput),
            output_usd: usdFromNano(price.base.output),
          }
        : null,
    },
  }
}
