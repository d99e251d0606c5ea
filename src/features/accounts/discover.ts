import type { Ctx } from '../../core/context.ts'
import { AppError, notFound } from '../../core/errors.ts'
import { modelOf } from '../catalog/service.ts'
import { open } from '../encryption/service.ts'
import { connect, credentialPlace, specOf } from '../providers/service.ts'
import { readProvider } from './rows.ts'
import { type Discovered, ProviderParams } from './schema.ts'
import { wordsOf } from './verify.ts'

const LIST_MS = 15_000
/** Some have thousands: what is shown stays readable. */
const MAX_SHOWN = 1000

/**
 * What models a provider says it has, and what is known of them. Throws 404, 409 when it has no credential in use, and
 * 502 when it does not tell.
 */
export async function discoverModels(ctx: Ctx, id: string): Promise<Discovered> {
  // An id of another form is nobody's.
  if (!ProviderParams.safeParse({ id }).success) throw notFound('provider')
  const { row, credentials } = await readProvider(ctx, id)
  const spec = specOf(row, [])
  const credential = credentials.find(({ is_active }) => is_active)
  if (!credential && spec.kind !== 'ollama') throw new AppError('conflict', 'It has no credential that is in use.')
  const found = await list(ctx, { spec, credential })
  const own = new Set(spec.models.map(({ upstreamName, name }) => upstreamName ?? name))
  const knownAs = (name: string) => {
    if (own.has(name)) return 'own' as const
    return spec.vendor !== undefined && modelOf(spec.vendor, name) ? ('catalog' as const) : null
  }
  const names = new Set(found.map(({ name }) => name))
  return {
    provider_id: id,
    models: found
      .slice(0, MAX_SHOWN)
      .map(({ name, contextWindow }) => ({ name, context_window: contextWindow ?? null, known: knownAs(name) })),
    unknown: [...names].filter((name) => knownAs(name) === null).slice(0, MAX_SHOWN),
    missing: [...own].filter((name) => !names.has(name)),
  }
}

type Asked = {
  spec: ReturnType<typeof specOf>
  credential: Awaited<ReturnType<typeof readProvider>>['credentials'][number] | undefined
}

async function list(ctx: Ctx, { spec, credential }: Asked) {
  try {
    const place = credential && credentialPlace(ctx.caller.orgId, credential.id)
    const apiKey = credential && place && (await open(ctx, place, credential.secret))
    return await connect(ctx, spec, apiKey).listModels(AbortSignal.timeout(LIST_MS))
  } catch (error) {
    throw new AppError('provider_error', wordsOf(error), { cause: error })
  }
}
