import * as z from 'zod'
import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { usdFromNano } from '../../core/money.ts'
import { get } from '../../http/route.ts'
import { type Offer, speechOffers } from '../node-models/service.ts'
import {
  knowsNodes,
  learnNodes,
  listingOf,
  listTargets,
  refreshNodes,
  type Target,
  targetsFor,
} from '../routing/service.ts'

/** OpenAI clients want a time; the catalog keeps none that would be true for every vendor. */
const CREATED = 0

const Details = z.object({
  capabilities: z.array(z.string()),
  context_window: z.int().nullable(),
  max_output_tokens: z.int().nullable(),
  /** Its vendor has said that it will end. */
  deprecated: z.boolean(),
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
      const [speech] = await Promise.all([speechOffers(ctx), refresh(ctx)])
      const details = query.details === 'true'
      const targets = listTargets(ctx, ctx.admission.policy)
      return {
        object: 'list' as const,
        data: [
          ...targets.map((target) => view(ctx, target, details)),
          ...speech.map((one) => speechView(one, details)),
        ],
      }
    },
  ),

  get(
    '/v1/models/:model{.+}',
    {
      summary: 'Get a model',
      description: 'By any name that a call may ask for it: an alias, a name of the vendor or node, `vendor/model`.',
      scope: 'models:read',
      params: z.object({ model: z.string().min(1).max(320) }),
      query: Query,
      response: Model,
    },
    async (ctx, { params, query }) => {
      await refresh(ctx)
      const details = query.details === 'true'
      const found = find(ctx, params.model)
      if (found) return view(ctx, found, details)
      const speech = (await speechOffers(ctx)).find(({ id, model }) => [id, model.name].includes(params.model))
      if (speech) return speechView(speech, details)
      throw new AppError('model_not_found', `The model '${params.model}' does not exist.`, { param: 'model' })
    },
  ),
]

async function refresh(ctx: Ctx): Promise<void> {
  if (!knowsNodes(ctx)) await learnNodes(ctx)
  refreshNodes(ctx)
}

/** What a call of this name would be sent to first; a vendor's name that nobody lists may be a model, or may be none. */
function find(ctx: Ctx, name: string): Target | undefined {
  const { policy } = ctx.admission
  const called = (['chat', 'embedding'] as const).flatMap(
    (kind) => targetsFor(ctx, policy, { model: name, kind }).targets,
  )
  const known = called.find(({ entry, provider }) => entry || provider.kind === 'node')
  return known ?? listTargets(ctx, policy).find(({ id }) => id === name)
}

/** The id is one that chat accepts as it is and that names this target alone. */
function view(ctx: Ctx, target: Target, details: boolean): z.input<typeof Model> {
  const listed = listedAs(target)
  return details ? { ...listed, helix: detailsOf(ctx, target) } : listed
}

const listedAs = ({ id, provider }: Pick<Target, 'id' | 'provider'>) => ({
  id,
  object: 'model' as const,
  created: CREATED,
  owned_by: provider.name,
})

/** Of a model that hears or speaks; it has no window, and no price by tokens. */
function speechView(offer: Offer, details: boolean): z.input<typeof Model> {
  const listed = listedAs(offer)
  const nothing = { context_window: null, max_output_tokens: null, deprecated: false, prices: null }
  return details ? { ...listed, helix: { capabilities: [...offer.model.capabilities], ...nothing } } : listed
}

function detailsOf(ctx: Ctx, { provider, model, entry, price }: Target): z.input<typeof Details> {
  const listed = listingOf(ctx, provider)?.models.find(({ name }) => name === model)
  return {
    capabilities: [...(entry?.capabilities ?? listed?.capabilities ?? [])],
    context_window: entry?.contextWindow ?? listed?.contextWindow ?? null,
    max_output_tokens: entry?.maxOutputTokens ?? null,
    deprecated: entry?.deprecated ?? false,
    prices: price
      ? {
          input_usd: usdFromNano(price.base.input),
          cached_input_usd: usdFromNano(price.base.cachedInput),
          output_usd: usdFromNano(price.base.output),
        }
      : null,
  }
}
