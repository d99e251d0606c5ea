import * as z from 'zod'
import { startDemoNode } from '../local/demo-node/server.ts'

/** The GPU node of this run. */
export type NodeChoice = {
  kind: 'ollama' | 'demo'
  /** Without a trailing slash. */
  url: string
  /** Its other two servers; undefined where the user has to say. */
  speechUrl: string | undefined
  agentUrl: string | undefined
  /** The first model on it that can chat; undefined when it has none. */
  model: string | undefined
  /** For people: why this one. */
  reason: string
  close(): Promise<void>
}

export type NodeWishes = {
  /** OLLAMA_BASE_URL. */
  wantedUrl: string | undefined
  /** Where an Ollama listens unless told otherwise. */
  usualUrl?: string
  /** NODE_TOKEN: sent as a bearer token to the wanted node only. */
  token?: string | undefined
}

const USUAL_URL = 'http://127.0.0.1:11434'
const ANSWER_LIMIT_MS = 2_000
const DEMO_MODEL = 'llama3.2:3b'

/** The node that the user names, else an Ollama on its usual port, else the demo node, started here. */
export async function chooseNode({ wantedUrl, usualUrl = USUAL_URL, token }: NodeWishes): Promise<NodeChoice> {
  const wanted = wantedUrl?.replace(/\/+$/, '')
  if (wanted !== undefined && (await answers(wanted, token))) {
    return ollama(wanted, { reason: 'from OLLAMA_BASE_URL', token })
  }
  const missing = wanted === undefined ? '' : `nothing answers at OLLAMA_BASE_URL (${wanted}); `
  if (await answers(usualUrl, undefined)) {
    return ollama(usualUrl, { reason: `${missing}found on its usual port`, token: undefined })
  }
  const demo = await startDemoNode()
  const reason = `${missing || 'no Ollama found; '}it speaks Ollama's API but has no model, and its answers say so`
  const { url, speechUrl, agentUrl, close } = demo
  return { kind: 'demo', url, speechUrl, agentUrl, model: DEMO_MODEL, reason, close }
}

async function ollama(
  url: string,
  { reason, token }: { reason: string; token: string | undefined },
): Promise<NodeChoice> {
  const model = await firstChatModel(url, token)
  return { kind: 'ollama', url, speechUrl: undefined, agentUrl: undefined, model, reason, close: async () => {} }
}

const Version = z.object({ version: z.string() })
const Tags = z.object({
  models: z.array(z.object({ name: z.string(), capabilities: z.array(z.string()).optional() })),
})
const Show = z.object({ capabilities: z.array(z.string()).optional() })

async function answers(url: string, token: string | undefined): Promise<boolean> {
  try {
    return Version.safeParse(await ask(`${url}/api/version`, { token })).success
  } catch {
    return false
  }
}

/** Servers before 0.30 do not list capabilities; they are asked model by model. */
async function firstChatModel(url: string, token: string | undefined): Promise<string | undefined> {
  try {
    const { models } = Tags.parse(await ask(`${url}/api/tags`, { token }))
    for (const { name, capabilities: listed } of models) {
      const capabilities =
        listed ?? Show.parse(await ask(`${url}/api/show`, { token, body: { model: name } })).capabilities
      if (capabilities?.includes('completion') ?? true) return name
    }
  } catch {
    // A node that answers /api/version but not this has nothing to offer now.
  }
  return undefined
}

async function ask(url: string, { token, body }: { token: string | undefined; body?: unknown }): Promise<unknown> {
  const response = await fetch(url, {
    method: body === undefined ? 'GET' : 'POST',
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(ANSWER_LIMIT_MS),
  })
  if (!response.ok) throw new Error(`${url} answered ${response.status}`)
  return response.json()
}
