import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { type Provider, UpstreamError } from '../../core/models.ts'
import { modelOf, resolveModel } from '../catalog/service.ts'
import type { EnsembleOptions } from './schema.ts'

/** A node that takes longer to say what it has is taken to have it. */
const LIST_TIMEOUT_MS = 5000

type World = Pick<Ctx, 'providers'>
type Named = { name: string; param: string; pointer: string }

/** Throws 422 that names every model that no provider of the organisation serves: a typing error would break each call. */
export async function requireKnown(world: World, { members = [], judge_model: judge }: EnsembleOptions): Promise<void> {
  const named: Named[] = members.map((name, at) => ({ name, param: `members[${at}]`, pointer: `/members/${at}` }))
  if (judge !== undefined) named.push({ name: judge, param: 'judge_model', pointer: '/judge_model' })
  const doubtful = named.filter(({ name }) => !isServed(world, name))
  if (doubtful.length === 0) return
  const listed = await listNodes(world)
  const unknown = doubtful.filter(({ name }) => !listed.some((node) => mayHave(world, node, name)))
  const [first] = unknown
  if (!first) return
  const detail = ({ name }: Named) => `no configured provider serves the model '${name}'`
  throw new AppError('invalid_request', unknown.map((one) => `${one.param}: ${detail(one)}`).join('; '), {
    status: 422,
    param: first.param,
    fields: unknown.map((one) => ({ pointer: one.pointer, detail: detail(one) })),
  })
}

/** By what is known without asking anybody. A vendor that is named itself may have what the catalog does not. */
function isServed({ providers }: World, name: string): boolean {
  if (name === 'auto' || name.startsWith('auto:')) return true
  const { provider, model } = prefixed({ providers }, name)
  if (provider) return model !== '' && (provider.kind === 'vendor' || isDescribed(provider, model))
  if (resolveModel(name).some(({ vendor, kind }) => kind === 'chat' && isOurs(providers.get(vendor)))) return true
  return [...providers.values()].some((own) => isDescribed(own, name) || isOfVendor(own, name))
}

const isOurs = (provider: Provider | undefined): boolean => provider?.kind === 'vendor' && !provider.account

const isDescribed = ({ account }: Provider, model: string): boolean =>
  account?.models.some(({ name }) => name === model) ?? false

const isOfVendor = ({ account }: Provider, name: string): boolean =>
  account?.vendor !== undefined && modelOf(account.vendor, name)?.kind === 'chat'

function prefixed({ providers }: World, name: string): { provider: Provider | undefined; model: string } {
  const slash = name.indexOf('/')
  const provider = slash > 0 ? providers.get(name.slice(0, slash)) : undefined
  return { provider, model: provider ? name.slice(slash + 1) : name }
}

/** What a node has; undefined where it does not say. */
type Listed = { node: Provider; names: readonly string[] | undefined }

const listNodes = ({ providers }: World): Promise<Listed[]> =>
  Promise.all(
    [...providers.values()]
      .filter(({ kind }) => kind === 'node')
      .map(async (node) => {
        try {
          const models = await node.listModels(AbortSignal.timeout(LIST_TIMEOUT_MS))
          return { node, names: models.map((model) => model.name) }
        } catch (error) {
          if (!(error instanceof UpstreamError)) throw error
          return { node, names: undefined }
        }
      }),
  )

/** A name without a tag means `:latest`. */
function mayHave(world: World, { node, names }: Listed, name: string): boolean {
  const { provider, model } = prefixed(world, name)
  if (provider && provider !== node) return false
  return names?.some((listed) => listed === model || listed === `${model}:latest`) ?? true
}
