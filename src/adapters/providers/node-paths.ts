import type { NodeEndpoints, NodeRequest, NodeServer } from '../../core/node.ts'

type Path = `${NodeRequest['method']} /${string}`

/**
 * Everything that a node is ever asked for: method and path of each of its servers, and nothing beside them. What a
 * caller says can choose among these and cannot add to them.
 */
export const nodePaths: Readonly<Record<NodeServer, readonly Path[]>> = {
  ollama: [
    'GET /',
    'GET /api/version',
    'GET /api/tags',
    'GET /api/ps',
    'POST /api/show',
    'POST /api/chat',
    'POST /api/generate',
    'POST /api/embed',
    'POST /api/pull',
    'DELETE /api/delete',
    'POST /v1/audio/transcriptions',
  ],
  speech: [
    'GET /v1/models',
    'GET /health',
    'GET /v1/audio/voices',
    'POST /v1/audio/transcriptions',
    'POST /v1/audio/translations',
    'POST /v1/audio/speech',
  ],
  agent: [
    'GET /metrics',
    'GET /v1/models',
    'POST /v1/audio/measure',
    'POST /v1/audio/classifications',
    'POST /v1/audio/diarizations',
    'POST /v1/embeddings',
    'POST /v1/rerank',
  ],
}

/** The URL of a request that is on the list, for a server that the node has; undefined for every other. */
export type NodeUrls = (server: NodeServer, method: string, path: string) => string | undefined

/**
 * The URLs that a node may be asked for, made once and from the list alone: what comes in is compared and never becomes
 * part of one. Throws `Error` for an address with anything that would lead elsewhere.
 */
export function createNodeUrls({ baseUrl, speechUrl, agentUrl }: NodeEndpoints): NodeUrls {
  const bases = { ollama: baseUrl, speech: speechUrl, agent: agentUrl }
  const listed = (server: NodeServer): [string, string][] => {
    const base = bases[server]
    if (base === undefined) return []
    return nodePaths[server].map((line) => [`${server} ${line}`, urlOf(base, line.slice(line.indexOf('/')))])
  }
  const urls = new Map([...listed('ollama'), ...listed('speech'), ...listed('agent')])
  return (server, method, path) => urls.get(`${server} ${method} ${path}`)
}

/** The path below the base, as the parser of URLs understands both. */
function urlOf(baseUrl: string, path: string): string {
  const base = URL.parse(baseUrl)
  if (!base || /[?#\\]/.test(baseUrl) || base.username !== '' || base.password !== '') {
    throw new Error('The address of a node is an http or https URL without user, query and fragment.')
  }
  const prefix = base.pathname.replace(/\/+$/, '')
  const url = new URL(base.origin + prefix + path)
  if (url.origin !== base.origin || url.pathname !== prefix + path) {
    throw new Error('The address of a node has a path that leads elsewhere.')
  }
  return url.href
}
