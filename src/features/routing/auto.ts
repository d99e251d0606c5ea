import { vendorCatalog } from '../../core/vendors.ts'
import type { CatalogModel } from '../catalog/service.ts'

const autoModels = new Map(vendorCatalog.map(({ name, auto }) => [name, auto]))

export const isAuto = (name: string): boolean => name === 'auto' || name.startsWith('auto:')

/** What `auto` asks of a vendor. */
export const autoModelOf = (vendor: string, kind: CatalogModel['kind']): string | undefined =>
  kind === 'transcription' ? undefined : autoModels.get(vendor)?.[kind]
