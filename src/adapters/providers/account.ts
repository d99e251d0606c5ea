import type { Provider, ProviderSpec } from '../../core/models.ts'
import type { Outbound } from '../../core/outbound.ts'
import { type VendorQuirks, vendorCatalog } from '../../core/vendors.ts'
import { createAnthropic } from './anthropic.ts'
import { createGemini } from './gemini.ts'
import { createOllama } from './ollama.ts'
import { createOpenAiCompatible } from './openai-compatible.ts'

const plain: VendorQuirks = { maxTokensField: 'max_tokens', supportsStreamUsage: true }

/**
 * A provider that an organisation described. Whatever it sends to its address goes through the guard for addresses that
 * callers name. Throws `Error` for a key that no header can carry.
 */
export function createAccountProvider(
  spec: ProviderSpec,
  { outbound, now }: { outbound: Outbound; now: () => number },
): Provider {
  const { name, baseUrl, apiKey = '', timeouts, wholeTotalMs } = spec
  const guarded = withinGuard(outbound)
  const options = { name, baseUrl, apiKey, outbound: guarded, timeouts, wholeTotalMs, now }
  switch (spec.kind) {
    case 'openai_compatible':
      return createOpenAiCompatible({ ...options, quirks: quirksOf(spec) })
    case 'anthropic':
      return createAnthropic(options)
    case 'gemini':
      return createGemini(options)
    case 'ollama':
      return createOllama({
        name,
        baseUrl,
        nodeToken: spec.apiKey,
        credential: spec.node?.credential,
        node: spec.node?.facts,
        outbound,
        purpose: 'account',
        timeouts,
        now,
      })
  }
}

/** The ways of the vendor, and over them what the organisation said of its account. */
function quirksOf({ vendor, quirks }: ProviderSpec): VendorQuirks {
  const ofVendor = vendorCatalog.find(({ name, wire }) => name === vendor && wire === 'openai')?.quirks ?? plain
  return {
    ...ofVendor,
    ...(quirks.rename && { rename: { ...ofVendor.rename, ...quirks.rename } }),
    ...(quirks.omit && { omit: [...(ofVendor.omit ?? []), ...quirks.omit] }),
  }
}

/** Adapters say that they call a vendor or a node, whose addresses would be the environment's. */
const withinGuard =
  (outbound: Outbound): Outbound =>
  (request) =>
    outbound(request.purpose === 'public' ? request : { ...request, purpose: 'account' })
