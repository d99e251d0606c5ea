import { judgeUrl } from '../../core/address.ts'
import type { Ctx } from '../../core/context.ts'
import { unfit } from '../../core/errors.ts'
import { modelsOf } from '../catalog/service.ts'
import type { OwnModel } from '../providers/table.ts'
import type { ProviderRow } from './rows.ts'
import type { ProviderBody } from './schema.ts'

/** What of a row its organisation decides. */
export type Described = Omit<ProviderRow, 'id' | 'org_id' | 'deleted_at' | 'created_at' | 'updated_at'>

const urlFaults: Partial<Record<string, string>> = {
  malformed: 'must be a URL',
  scheme: 'must begin with https://',
  userinfo: 'may not carry a user name or password',
  port: 'may not name a port',
}

/**
 * A provider that may be stored. Where its name leads is looked up by each call, as an answer of today says nothing about
 * tomorrow's; what can be told without that is told here. Throws 422.
 */
export function checkProvider({ settings }: Pick<Ctx, 'settings'>, body: ProviderBody): Described {
  const { vendor = modelsOf(body.name).length > 0 ? body.name : null, models, ...rest } = body
  const verdict = judgeUrl(body.base_url, { testOrigins: new Set(settings.outboundTestOrigins), deniedHosts: [] })
  if (!verdict.allowed) {
    throw unfit('base_url', urlFaults[verdict.refusal] ?? 'must name a host on the public Internet')
  }
  // The path of an endpoint is put behind it, so an empty query is one, too.
  if (/[?#]/.test(body.base_url)) {
    throw unfit('base_url', 'may not have a query or a fragment')
  }
  if (vendor !== null && modelsOf(vendor).length === 0) throw unfit('vendor', 'is not a vendor of the catalog')
  return { ...rest, base_url: body.base_url.trim(), vendor, models: models.map(stored) }
}

/** Fields that are not given are not stored. */
const stored = (model: ProviderBody['models'][number]): OwnModel => ({ ...model })
