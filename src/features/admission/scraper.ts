import { timingSafeEqual } from 'node:crypto'
import type { Admission } from '../../core/admission.ts'

/** The holder of METRICS_TOKEN: no organisation, and nothing to read but metrics. */
export function scraperAdmission(token: string | undefined, credential: string | undefined): Admission | undefined {
  if (credential === undefined || !isScraper(token, credential)) return undefined
  return {
    policy: {
      version: 'scraper',
      orgId: '',
      keyId: '',
      kind: 'scraper',
      mode: 'live',
      scopes: ['monitoring:read'],
      allowedModels: [],
      expiresAt: undefined,
      limits: [],
      budgets: [],
    },
    held: false,
    openBreakers: new Map(),
    cached: undefined,
    requests: undefined,
    tokens: undefined,
    tokenCharges: [],
  }
}

export const isScraper = (token: string | undefined, credential: string): boolean =>
  token !== undefined && sameText(token, credential)

function sameText(left: string, right: string): boolean {
  const [a, b] = [Buffer.from(left), Buffer.from(right)]
  return a.length === b.length && timingSafeEqual(a, b)
}
