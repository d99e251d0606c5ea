import { bootstrapCurlOf } from '../first-operator.ts'
import type { MailChoice } from './mail-choice.ts'
import type { NodeChoice } from './node-choice.ts'

/** What a running stack has to tell. */
export type Facts = {
  /** `http://127.0.0.1:8787` */
  origin: string
  apiKey: string
  /** Makes the first operator; undefined once there is one. */
  bootstrapToken: string | undefined
  /** One that is really available. */
  model: string
  node: Pick<NodeChoice, 'kind' | 'url' | 'speechUrl' | 'agentUrl' | 'reason'>
  /** Vendors that have a key, with the model that `auto` would ask them for. */
  vendors: readonly { name: string; model: string | undefined }[]
  mail: Pick<MailChoice, 'kind' | 'url'>
  stores: { postgres: string; psql: string; redis: string }
  dataFolder: string
  readyMs: number
}

/** Base URL as OpenAI clients want it. */
const baseUrlOf = ({ origin }: Facts): string => `${origin}/v1`

/** A streaming chat call that works as pasted into a shell. */
export const curlOf = (facts: Facts): string => `curl -N ${baseUrlOf(facts)}/chat/completions \\
  -H 'Authorization: Bearer ${facts.apiKey}' \\
  -H 'Content-Type: application/json' \\
  -d '${JSON.stringify({ model: facts.model, stream: true, messages: [{ role: 'user', content: 'Hello!' }] })}'`

/** The same with the official client, which is installed in this folder; also pasted into a shell. */
export const sdkSnippetOf = (facts: Facts): string => `node --input-type=module <<'END'
import OpenAI from 'openai'
const client = new OpenAI({ baseURL: '${baseUrlOf(facts)}', apiKey: '${facts.apiKey}' })
const stream = await client.chat.completions.create({
  model: '${facts.model}',
  messages: [{ role: 'user', content: 'Hello!' }],
  stream: true,
})
for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta?.content ?? '')
END`

/** One line for scripts. */
export const jsonOf = (facts: Facts): string =>
  JSON.stringify({
    base_url: baseUrlOf(facts),
    origin: facts.origin,
    api_key: facts.apiKey,
    bootstrap_token: facts.bootstrapToken ?? null,
    model: facts.model,
    node: facts.node.kind,
    node_url: facts.node.url,
    speech_url: facts.node.speechUrl ?? null,
    agent_url: facts.node.agentUrl ?? null,
    mailbox_url: facts.mail.kind === 'mailbox' ? facts.mail.url : null,
    vendors: facts.vendors.map(({ name }) => name),
    curl: curlOf(facts),
    ready_ms: facts.readyMs,
  })

/** The same for people. */
export function bannerOf(facts: Facts): string {
  const { stores, node } = facts
  const nodeName = node.kind === 'demo' ? 'demo node' : 'Ollama'
  return `
Helix is ready after ${(facts.readyMs / 1000).toFixed(1)} s.

  Base URL  ${baseUrlOf(facts)}
  API key   ${facts.apiKey}
  Model     ${facts.model}
  Docs      ${facts.origin}/docs

  Node      ${nodeName} at ${node.url} (${node.reason})
            ${besidesLine(node)}
  Vendors   ${vendorsLine(facts)}
  Mail      ${mailLine(facts)}
  Postgres  ${stores.postgres}${stores.psql === '' ? '' : `\n            ${stores.psql}`}
  Redis     ${stores.redis}
  State     ${facts.dataFolder} (npm run dev -- --fresh starts over)

Paste into another terminal:

${curlOf(facts)}

Or, in this folder, with the OpenAI client:

${sdkSnippetOf(facts)}
${operatorLines(facts)}
Ctrl-C ends everything.
`
}

function operatorLines({ origin, bootstrapToken }: Facts): string {
  if (bootstrapToken === undefined) return ''
  return `
Nobody is an operator yet. Within 15 minutes, with a password of your choice (a later start prints a new token):

${bootstrapCurlOf(origin, bootstrapToken)}
`
}

function besidesLine({ speechUrl, agentUrl }: Facts['node']): string {
  const speech = speechUrl === undefined ? 'no speech server (NODE_SPEECH_URL)' : `speech at ${speechUrl}`
  const agent = agentUrl === undefined ? 'no agent (NODE_AGENT_URL)' : `agent at ${agentUrl}`
  return `${speech}, ${agent}`
}

function mailLine({ mail: { kind, url } }: Facts): string {
  return kind === 'mailbox' ? `${url} shows every mail; none is delivered` : `delivered by ${url} (from MAIL_URL)`
}

function vendorsLine({ vendors }: Facts): string {
  if (vendors.length === 0) return 'none (set OPENAI_API_KEY or another in the environment or in .dev.vars)'
  return vendors.map(({ name, model }) => (model === undefined ? name : `${name} (e.g. ${model})`)).join(', ')
}
