import { UpstreamError } from '../../core/models.ts'
import type { NodeCredential, NodeEndpoints, NodeSend } from '../../core/node.ts'
import { type Outbound, OutboundError, type OutboundPurpose } from '../../core/outbound.ts'
import { createNodeUrls } from './node-paths.ts'

export type NodeSendOptions = {
  endpoints: NodeEndpoints
  /** What opens the tunnel; sent to the node's own addresses and nowhere else. */
  headers: Readonly<Record<string, string>>
  outbound: Outbound
  /** `node` for addresses of the environment, `account` for those that an organisation named. */
  purpose: Extract<OutboundPurpose, 'node' | 'account'>
}

/** Of a request's own headers, those that say something about its body and its answer. */
const OWN_HEADERS: ReadonlySet<string> = new Set(['accept', 'content-type'])
/** Where Cloudflare Access sends whoever has no token that it takes. */
const LOGIN = /\.cloudflareaccess\.com\/|\/cdn-cgi\/access\//

/** See `NodeSend`. Throws `Error` for endpoints that are none. */
export function createNodeSend({ endpoints, headers, outbound, purpose }: NodeSendOptions): NodeSend {
  const urlOf = createNodeUrls(endpoints)
  return async ({ server, method, path, headers: asked = {}, ...rest }) => {
    const url = urlOf(server, method, path)
    if (url === undefined) throw new OutboundError('blocked', 'That is nothing that a node may be asked for.')
    const response = await outbound({ url, purpose, method, headers: { ...ownHeaders(asked), ...headers }, ...rest })
    if (LOGIN.test(response.headers.get('location') ?? '') && response.status >= 300 && response.status < 400) {
      await response.body?.cancel()
      throw new UpstreamError('status', 'The tunnel of the node asks for a login.', { status: 401 })
    }
    return response
  }
}

function ownHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  const own: Record<string, string> = {}
  for (const name in headers) {
    const value = headers[name]
    if (value !== undefined && OWN_HEADERS.has(name.toLowerCase())) own[name] = value
  }
  return own
}

/**
 * The headers of a credential, and its parts that may be shown to nobody. Throws `Error` for what no header can carry.
 */
export function openedWith(
  name: string,
  credential: NodeCredential | undefined,
): { headers: Record<string, string>; secrets: readonly string[] } {
  if (!credential) return { headers: {}, secrets: [] }
  const secrets = credential.type === 'bearer' ? [credential.token] : [credential.clientSecret, credential.clientId]
  if (!secrets.every((part) => /^[\x21-\x7e]+$/.test(part))) {
    throw new Error(`The token of ${name} has characters that no header can carry.`)
  }
  if (credential.type === 'bearer') return { headers: { authorization: `Bearer ${credential.token}` }, secrets }
  const { clientId, clientSecret } = credential
  return { headers: { 'cf-access-client-id': clientId, 'cf-access-client-secret': clientSecret }, secrets }
}
