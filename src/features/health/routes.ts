import * as z from 'zod'
import type { Deps } from '../../core/context.ts'
import { notFound } from '../../core/errors.ts'
import type { Provider } from '../../core/models.ts'
import { get } from '../../http/route.ts'
import { wholeResponse } from '../../http/whole.ts'
import { knowsNodes, learnNodes, listTargets, refreshNodes } from '../routing/service.ts'
import { readChecks } from './service.ts'
import { checksOf, healthOf, ProviderDetails, ProviderHealth, Totals, totalsOf, wordFor } from './view.ts'

type World = Pick<Deps, 'providers' | 'health' | 'memory' | 'now' | 'log'>

const Listed = ProviderHealth.extend({ models: z.array(z.string()).describe('Those that this key may use.') })
const Health = Totals.extend({ status: z.enum(['ok', 'degraded', 'unhealthy']) })

export const routes = [
  get(
    '/v1/providers',
    {
      summary: 'List the providers that this key reaches',
      description: 'Vendors, nodes and your organisation’s own accounts, with their models and how they are.',
      scope: 'providers:read',
      response: z.object({ object: z.literal('list'), data: z.array(Listed) }),
    },
    async (ctx) => {
      const [all] = await Promise.all([allHealth(ctx), knowsNodes(ctx) ? undefined : learnNodes(ctx)])
      refreshNodes(ctx)
      const targets = listTargets(ctx, ctx.admission.policy)
      const modelsOf = (name: string) =>
        targets.flatMap((target) => (target.provider.name === name ? target.model : []))
      return { object: 'list' as const, data: all.map((one) => ({ ...one, models: modelsOf(one.name) })) }
    },
  ),

  get(
    '/v1/providers/health',
    {
      summary: 'Tell how the providers are',
      description:
        'As the monitor found them, which has each list its models every 30 seconds while somebody has asked within ' +
        'the last hour. `degraded`: one of the last three checks failed, or the slowest took over 5 s. `unhealthy`: the last ' +
        'two failed.',
      scope: 'providers:read',
      response: Totals.extend({ providers: z.array(ProviderHealth) }),
    },
    async (ctx) => {
      const providers = await allHealth(ctx)
      return { ...totalsOf(providers), providers }
    },
  ),

  get(
    '/v1/providers/:name/health',
    {
      summary: 'Tell how a provider is',
      description: '503 while it is unhealthy.',
      scope: 'providers:read',
      params: z.object({ name: z.string().min(1).max(64) }),
      response: ProviderDetails,
    },
    async (ctx, { params }) => {
      const provider = ctx.providers.get(params.name)
      if (!provider) throw notFound('provider')
      const checks = checksFor(provider, await readChecks(ctx))
      const health = healthOf(provider, checks, ctx.now())
      return answer({ ...health, checks: checksOf(checks) }, health.status)
    },
  ),

  get(
    '/v1/health',
    {
      summary: 'Tell how the providers are, in a word',
      description: '503 `unhealthy` when no provider of this installation is left, or there is none.',
      scope: 'public',
      isProbe: true,
      response: Health,
    },
    async (ctx) => {
      const totals = totalsOf(await allHealth(ctx))
      const status = wordFor(totals)
      return answer({ status, ...totals }, status)
    },
  ),
]

async function allHealth(world: World): Promise<ProviderHealth[]> {
  const found = await readChecks(world)
  return [...world.providers.values()].map((one) => healthOf(one, checksFor(one, found), world.now()))
}

/** An account of an organisation may have the name of a provider that is watched. */
const checksFor = ({ name, account }: Provider, found: Awaited<ReturnType<typeof readChecks>>) =>
  account ? [] : (found.get(name) ?? [])

const answer = (body: object, status: string): Response =>
  wholeResponse(JSON.stringify(body), {
    status: status === 'unhealthy' ? 503 : 200,
    headers: { 'content-type': 'application/json' },
  })
