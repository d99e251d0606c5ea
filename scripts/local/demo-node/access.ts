import type { IncomingMessage, ServerResponse } from 'node:http'
import { isIP } from 'node:net'
import { hostname } from 'node:os'
import { sendEmpty } from './responses.ts'

const privateAddress = /^(?:0\.0\.0\.0|127\.|10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|::1?$|f[cd])/i
const localNames = /^(?:localhost|.+\.(?:localhost|local|internal))$/

function hostOf(header: string): string {
  const match = /^\[([^\]]*)\](?::\d+)?$/.exec(header)
  return (match?.[1] ?? header.replace(/:\d+$/, '')).toLowerCase()
}

/** The guard against DNS rebinding: only names and addresses of this machine or a private network. */
export function isAllowedHost(header: string | undefined): boolean {
  const host = hostOf(header ?? '')
  if (isIP(host) !== 0) return privateAddress.test(host)
  return host === '' || host === hostname().toLowerCase() || localNames.test(host)
}

function isAllowedOrigin(origin: string): boolean {
  if (/^(?:app|file|tauri|vscode-webview|vscode-file):\/\//.test(origin)) return true
  return /^https?:\/\/(?:localhost|127\.0\.0\.1|0\.0\.0\.0)(?::\d+)?$/.test(origin)
}

const allowedHeaders = 'Authorization,Content-Type,User-Agent,Accept,X-Requested-With,OpenAI-Beta'

/** Host and origin checks; true when they have answered the request. */
export function guardAccess(request: IncomingMessage, response: ServerResponse): boolean {
  const { origin } = request.headers
  const refused = !isAllowedHost(request.headers.host) || (origin !== undefined && !isAllowedOrigin(origin))
  if (refused) {
    sendEmpty(response, 403)
    return true
  }
  if (origin === undefined) return false
  response.setHeader('access-control-allow-origin', origin)
  response.setHeader('vary', 'Origin')
  if (request.method !== 'OPTIONS') return false
  response.setHeader('access-control-allow-methods', 'GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS')
  response.setHeader('access-control-allow-headers', allowedHeaders)
  response.writeHead(204)
  response.end()
  return true
}
