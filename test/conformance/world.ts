import { createOllama } from '../../src/adapters/providers/ollama.ts'
import { createVendors } from '../../src/adapters/providers/vendors.ts'
import type { Wire } from '../../src/core/models.ts'
import type { Outbound, OutboundRequest } from '../../src/core/outbound.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import type { Surface } from './surfaces/surface.ts'

/** A model of each wire that can do what some model of it can. */
export const models: Readonly<Record<Wire, string>> = {
  openai: 'openai/gpt-5',
  anthropic: 'anthropic/claude-opus-4-5',
  gemini: 'gemini/gemini-3-flash-preview',
  ollama: 'ollama/m:1b',
}

/** Credentials that must never come back to a caller. */
export const secrets = {
  openai: 'sk-proj-vendorsecret0123456789abcdefABCDEF',
  anthropic: 'sk-ant-api03-vendorsecret0123456789abcdef',
  gemini: 'AIzaSyVendorSecret0123456789abcdefABCDEF',
  ollama: 'node-secret-0123456789abcdef',
} as const satisfies Record<Wire, string>

export type Answer = (request: OutboundRequest) => Response | Promise<Response>

export type World = {
  gateway: TestGateway
  /** What was sent to a vendor, in order; a list of models is not among it. */
  sent: OutboundRequest[]
  /** One call, answered as told. */
  ask(surface: Pick<Surface, 'path'>, body: object | string, answer: Answer, init?: RequestInit): Promise<Response>
}

const node = { name: 'm:1b', capabilities: ['completion', 'tools', 'thinking', 'vision'] }
const listing = { models: [{ ...node, details: { context_length: 131_072 } }] }

/**
 * The gateway with a vendor of each wire, whose answers are given byte for byte: routes, admission, routing, adapters
 * and renderings are the real ones, and there is no network.
 */
export async function startWorld(): Promise<World> {
  const sent: OutboundRequest[] = []
  let answer: Answer = () => Promise.reject(new TypeError('connection refused'))
  const outbound: Outbound = async (request) => {
    if (request.url.endsWith('/api/tags')) return Response.json(listing)
    sent.push(request)
    request.signal?.throwIfAborted()
    return answer(request)
  }
  const settings = (['openai', 'anthropic', 'gemini'] as const).map((name) => [
    name,
    { apiKey: secrets[name], baseUrl: `https://${name}.upstream.test/v1` },
  ])
  const vendors = createVendors({ vendors: Object.fromEntries(settings), outbound })
  const ollama = createOllama({
    name: 'ollama',
    baseUrl: 'http://ollama.upstream.test:11434',
    nodeToken: secrets.ollama,
    outbound,
  })
  const providers = new Map([...vendors, ollama].map((provider) => [provider.name, provider]))
  const gateway = await startGateway({ deps: { providers } })
  return {
    gateway,
    sent,
    ask(surface, body, given, init) {
      answer = given
      gateway.heal()
      return gateway.call(surface.path, body, init)
    },
  }
}

/** The address at which each wire is reached here; a part of no answer. */
export const hostOf = (wire: Wire): string => `${wire}.upstream.test`

/** What a vendor calls its streams and its documents. */
export const typeOf = (wire: Wire, isStream: boolean): string =>
  !isStream ? 'application/json' : wire === 'ollama' ? 'application/x-ndjson' : 'text/event-stream'
