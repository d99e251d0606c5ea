import { agentRoutes } from './agent/routes.ts'
import { handleEmbed, handleEmbeddings } from './embed-routes.ts'
import {
  handleCopy,
  handleDelete,
  handlePs,
  handleRoot,
  handleShow,
  handleTags,
  handleVersion,
} from './model-routes.ts'
import { handleChat, handleGenerate } from './native-routes.ts'
import {
  handleChatCompletions,
  handleCompletions,
  handleModel,
  handleModels,
  handleOpenaiEmbeddings,
} from './openai-routes.ts'
import { speechRoutes } from './speech/routes.ts'
import { handleTranscription } from './transcription.ts'
import { handleBlobHead, handleBlobUpload, handleCreate, handlePull, handlePush } from './transfer-routes.ts'
import type { Handler, Methods, ServerName } from './types.ts'

const ollama: Readonly<Record<string, Methods>> = {
  '/': { GET: handleRoot, HEAD: handleRoot },
  '/api/version': { GET: handleVersion, HEAD: handleVersion },
  '/api/tags': { GET: handleTags, HEAD: handleTags },
  '/api/ps': { GET: handlePs },
  '/api/show': { POST: handleShow },
  '/api/chat': { POST: handleChat },
  '/api/generate': { POST: handleGenerate },
  '/api/embed': { POST: handleEmbed },
  '/api/embeddings': { POST: handleEmbeddings },
  '/api/pull': { POST: handlePull },
  '/api/push': { POST: handlePush },
  '/api/create': { POST: handleCreate },
  '/api/copy': { POST: handleCopy },
  '/api/delete': { DELETE: handleDelete },
  '/v1/chat/completions': { POST: handleChatCompletions },
  '/v1/completions': { POST: handleCompletions },
  '/v1/embeddings': { POST: handleOpenaiEmbeddings },
  '/v1/models': { GET: handleModels },
  '/v1/audio/transcriptions': { POST: handleTranscription },
}

const withParameter: readonly [prefix: string, methods: Methods][] = [
  ['/api/blobs/', { HEAD: handleBlobHead, POST: handleBlobUpload }],
  ['/v1/models/', { GET: handleModel }],
]

const exact: Readonly<Record<ServerName, Readonly<Record<string, Methods>>>> = {
  ollama,
  speech: speechRoutes,
  agent: agentRoutes,
}

export type Match = { handler: Handler; parameter: string } | { status: 404 | 405; allow: string }

function choose(methods: Methods, method: string, parameter: string): Match {
  const handler = Object.hasOwn(methods, method) ? methods[method] : undefined
  return handler ? { handler, parameter } : { status: 405, allow: Object.keys(methods).join(', ') }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

export function matchRoute(server: ServerName, method: string, path: string): Match {
  const methods = Object.hasOwn(exact[server], path) ? exact[server][path] : undefined
  if (methods) return choose(methods, method, '')
  if (server !== 'ollama') return { status: 404, allow: '' }
  for (const [prefix, candidates] of withParameter) {
    if (path.startsWith(prefix) && path.length > prefix.length) {
      return choose(candidates, method, decode(path.slice(prefix.length)))
    }
  }
  return { status: 404, allow: '' }
}
