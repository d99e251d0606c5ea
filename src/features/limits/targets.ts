import type { Limit } from '../../core/admission.ts'
import type { Ctx } from '../../core/context.ts'
import { unfit } from '../../core/errors.ts'
import { resolveModel } from '../catalog/service.ts'

/**
 * The name that a limit of a `provider/model` goes by: that of the family whose price the model has, so that a dated name
 * is no way around a limit. A model that the catalog does not know stands for itself.
 */
export function familyOf(id: string): string {
  const family = familyInCatalog(id)
  if (family !== undefined) return family
  // An account may have any name: there a model is of the family that it is of elsewhere.
  const slashAt = id.indexOf('/')
  const elsewhere = slashAt < 0 ? undefined : familyInCatalog(id.slice(slashAt + 1))
  return elsewhere === undefined ? id : id.slice(0, slashAt) + elsewhere.slice(elsewhere.indexOf('/'))
}

function familyInCatalog(id: string): string | undefined {
  const [model] = resolveModel(id)
  const priceId = model?.price?.id ?? ''
  const family = priceId.slice(0, Math.max(0, priceId.lastIndexOf('@')))
  return family.startsWith(`${model?.vendor}/`) ? family : undefined
}

/** Whether a limit of a provider binds calls of a `provider/model`; false for every other limit. */
export function isOnTarget({ target }: Pick<Limit, 'target'>, id: string): boolean {
  if (target === undefined) return false
  if (!target.includes('/')) return id.startsWith(`${target}/`)
  return target === id || target === familyOf(id)
}

/** A provider or a `provider/model` as limits name it. Throws 422 unless it is of a provider that is configured. */
export function requireTarget({ providers }: Pick<Ctx, 'providers'>, name: string | undefined): string {
  if (name === undefined) throw unfit('subject_id', 'is missing')
  const [provider = ''] = name.split('/', 1)
  const isWhole = name === provider || name.length > provider.length + 1
  if (!providers.has(provider) || !isWhole) {
    throw unfit('subject_id', 'is neither the name of a configured provider nor provider/model of one')
  }
  return name === provider ? name : familyOf(name)
}
