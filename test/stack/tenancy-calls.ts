import * as z from 'zod'
import { type Entry, nameOf } from '../contract/route-table.ts'
import type { Planted } from '../support/canaries.ts'

type Body = Readonly<Record<string, unknown>>

export const password = 'a-Password-of-these-tests-1'
const issuer = {
  name: 'An issuer',
  issuer: 'https://issuer.example.com',
  client_id: 'a-client',
  jwks_uri: 'https://issuer.example.com/jwks',
}
const limit = { metric: 'requests', window: 60, amount: 100_000 }
const budget = { subject_kind: 'model', subject_id: 'gpt-4o', window: 'month', limit_usd: 100_000 }
const run = { subject_kind: 'run', window: 'total', limit_usd: 1 }
const provider = { name: 'another', kind: 'openai_compatible', base_url: 'https://models.example.com/v1' }
const node = { name: 'another-node', base_url: 'https://node.example.com' }
const rules = { name: 'Other rules', strategy: 'cost' }
const embed = { model: 'text-embedding-3-small', input: 'Hello there' }
const chat = { model: 'gpt-4o', messages: [{ role: 'user', content: 'Hello there' }] }
const message = { ...chat, max_tokens: 50 }
const complete = { model: 'gpt-4o', prompt: 'Hello there' }
/** One white pixel. */
const image_base64 = 'Qk06AAAAAAAAADYAAAAoAAAAAQAAAAEAAAABABgAAAAAAAQAAAAAAAAAAAAAAAAAAAAAAAAA////AA=='
const respond = { model: 'gpt-4o', input: 'Hello there' }

/** A body that every route which takes one accepts from an owner. */
export const bodies: Readonly<Record<string, Body>> = {
  'POST /api/v1/keys': { name: 'Another key', scopes: ['chat:write'] },
  'POST /api/v1/keys/verify': { key: 'hx_live_nothing' },
  'PATCH /api/v1/keys/:id': { name: 'Another name' },
  'POST /api/v1/keys/:id/rotate': { overlap_seconds: 60 },
  'POST /api/v1/limits': { subject_kind: 'org', ...limit },
  'PUT /api/v1/limits/:id': limit,
  'PATCH /api/v1/limits/:id': { amount: 200_000 },
  'POST /api/v1/limits/presets/apply': { preset: 'premium', subject_kind: 'org' },
  'POST /api/v1/budgets': budget,
  'PUT /api/v1/budgets/:id': { limit_usd: 100_000 },
  'PATCH /api/v1/budgets/:id': { name: 'Another name' },
  'POST /api/v1/providers': provider,
  'PUT /api/v1/providers/:id': { ...provider, name: 'replaced' },
  'PATCH /api/v1/providers/:id': { priority: 7 },
  'POST /api/v1/providers/discover': { provider_id: 'prv_nothing' },
  'POST /api/v1/providers/:id/verify': { model: 'a-model' },
  'POST /api/v1/providers/:id/credentials': { label: 'Another', key: 'another-key' },
  'PATCH /api/v1/providers/:id/credentials/:credential_id': { label: 'Renamed' },
  'POST /api/v1/nodes': node,
  'PUT /api/v1/nodes/:id': { ...node, name: 'replaced-node' },
  'PATCH /api/v1/nodes/:id': { priority: 7 },
  'POST /api/v1/nodes/:id/drain': { drain: false },
  'POST /api/v1/ollama/models/pull/:name{.+}': {},
  'POST /api/v1/ollama/models/load': { name: 'a-model' },
  'POST /api/v1/ollama/models/unload': { name: 'a-model' },
  'POST /api/v1/models/select': { task_type: 'text_generation' },
  'POST /api/v1/uploads': { filename: 'a-file.bin', size_bytes: 7 },
  'POST /v1/chat/completions': chat,
  'POST /v1/chat/completions/stream': chat,
  'POST /v1/ensemble/completions': { ...chat, ensemble_config: { members: ['gpt-4o', 'gpt-4o-mini'] } },
  'POST /v1/ensemble/configure': { strategy: 'majority' },
  'PUT /api/v1/ensemble/config': { strategy: 'majority' },
  'POST /v1/completions': complete,
  'POST /v1/completions/stream': complete,
  'POST /v1/messages': message,
  'POST /v1/responses': respond,
  'POST /v1/messages/count_tokens': chat,
  'POST /v1/embeddings': embed,
  'POST /api/v1/secrets': { name: 'ANOTHER', value: 'another value' },
  'PUT /api/v1/secrets/:id': { value: 'another value' },
  'POST /api/v1/secrets/:id/reveal': { reason: 'a test' },
  'POST /api/v1/routing/policies': rules,
  'PUT /api/v1/routing/policies/:id': { ...rules, name: 'Replaced rules' },
  'PATCH /api/v1/routing/policies/:id': { name: 'Renamed rules' },
  'POST /api/v1/routing/policies/:id/rollback': { version: 7 },
  'PUT /api/v1/routing/models/:model{.+}/availability': { available: true },
  'POST /api/v1/routing/explain': chat,
  'POST /api/v1/routing/classify': { messages: chat.messages },
  'POST /api/v1/routing/replay': { policy: { strategy: 'cost' } },
  'POST /api/v1/semantic/embed': { text: 'Hello there', model_name: embed.model },
  'POST /api/v1/semantic/embed/batch': { texts: ['Hello there'], model_name: embed.model },
  'POST /api/v1/semantic/similarity': { texts: ['Hello', 'there'], model_name: embed.model },
  'POST /api/v1/semantic/chunk': { text: 'Hello there', model_name: embed.model },
  'POST /api/v1/semantic/index': { source_id: 'a-text', text: 'Hello there', model_name: embed.model },
  'POST /api/v1/semantic/detect-duplicates': { content_id: 'a-text', content: 'Hello there', model_name: embed.model },
  'POST /api/v1/semantic/classify': { content: 'Hello there', categories: ['one', 'two'], model_name: 'gpt-4o' },
  'POST /api/v1/vision/analyze': { image_base64 },
  'POST /api/v1/vision/detect-objects': { image_base64 },
  'POST /api/v1/vision/extract-text': { image_base64 },
  'POST /api/v1/vision/ocr': { image_base64 },
  'POST /api/v1/vision/batch/analyze': { images: [{ image_base64 }] },
  'POST /api/v1/vision/search-similar': { image_base64 },
  'POST /api/v1/vision/search': { image_base64 },
  'POST /api/v1/vision/images': { image_base64, caption: 'A pixel' },
  'PATCH /api/v1/vision/images/:id': { tags: ['another'] },
  'POST /v1/audio/transcriptions': { model: 'whisper-1', file: 'in a form alone' },
  'POST /v1/audio/translations': { model: 'whisper-1', file: 'in a form alone' },
  'POST /v1/audio/speech': { model: 'tts-1', voice: 'alloy', input: 'Hello there' },
  'POST /api/v1/audio/transcribe': { upload_id: 'upl_nothing' },
  'POST /api/v1/audio/identify-speakers': { file: 'in a form alone' },
  'POST /api/v1/audio/identify-speaker': { file: 'in a form alone' },
  'POST /api/v1/audio/analyze-emotion': { file: 'in a form alone' },
  'POST /api/v1/audio/classify': { file: 'in a form alone' },
  'POST /api/v1/audio/analyze-music': { file: 'in a form alone' },
  'POST /api/v1/semantic/extract-relations': { text: 'Hello there', model_name: 'gpt-4o' },
  'POST /api/v1/semantic/rerank': { query: 'Hello', documents: ['Hello', 'there'], model_name: 'gpt-4o' },
  'POST /api/v1/semantic/score-importance': { content: 'Hello there', model_name: embed.model },
  'POST /api/v1/semantic/search': { query: 'Hello there', model_name: embed.model },
  'POST /api/v1/oidc-providers': issuer,
  'PUT /api/v1/oidc-providers/:id': issuer,
  'PATCH /api/v1/org': { name: 'Another name' },
  'POST /api/v1/orgs': { name: 'Another organisation' },
  'POST /api/v1/members/invite': { email: 'somebody@example.com' },
  'PATCH /api/v1/members/:user_id': { role: 'readonly' },
  'PATCH /api/v1/users/:id': { is_active: false },
  'PATCH /api/v1/auth/me': { display_name: 'Another name' },
  'POST /api/v1/auth/change-password': { current_password: password, new_password: password },
  'POST /api/v1/auth/admin/change-password': { username: 'nobody', new_password: password },
  'POST /api/v1/auth/switch-org': { org_id: 'org_nowhere' },
  'PATCH /api/v1/admin/orgs/:id': { status: 'suspended' },
  'PATCH /api/v1/admin/users/:id': { is_active: false },
  'POST /api/v1/admin/signing-keys/rotate': { revoke: true },
}

export const bodyOf = (entry: Entry): Body | undefined => bodies[nameOf(entry)]

/** A place in a body or a query where the id of something could stand. */
export type IdField = { entry: Entry; place: 'query' | 'body'; field: string }

const ID_NAME = /^(?:id|key|after|username|slug|.+_ids?)$/
/** Words of another issuer, and the caller's own names for agents, experiments and texts, which are written down as they come. */
const OF_OTHERS =
  /^(?:(?:.+\.)?client_id|claim_map\..*|agent_id|(?:filter\.)?source_id|content_id|(?:.+\.)?experiment\.id)$/

/** Every such place of a route, nested ones as `messages.tool_call_id`. */
export function idFieldsOf(entry: Entry): IdField[] {
  const { query, body, scope } = entry.route.spec
  const inBody = namesIn(body).map((field) => ({ entry, place: 'body', field }) as const)
  const inQuery = namesIn(query).map((field) => ({ entry, place: 'query', field }) as const)
  return [...inQuery, ...inBody].filter(({ field }) => {
    const name = field.split('.').at(-1) ?? ''
    // Without a caller a name is who somebody says they are, which a password has to prove.
    return ID_NAME.test(name) && !OF_OTHERS.test(field) && !(scope === 'public' && name === 'username')
  })
}

function namesIn(schema: z.ZodType | undefined): string[] {
  if (schema === undefined) return []
  const found = new Set<string>()
  const walk = (node: unknown, path: string): void => {
    if (Array.isArray(node)) for (const item of node) walk(item, path)
    else if (typeof node === 'object' && node !== null) {
      for (const [key, value] of Object.entries(node)) {
        if (key !== 'properties') walk(value, path)
        else if (typeof value === 'object' && value !== null) {
          for (const [name, property] of Object.entries(value)) {
            found.add(path + name)
            walk(property, `${path}${name}.`)
          }
        }
      }
    }
  }
  walk(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }), '')
  return [...found]
}

const userSays = { role: 'user', content: 'Hello there' }
const toolCall = (id: string) => ({ id, type: 'function', function: { name: 'look', arguments: '{}' } })

/** What stands around an id in a body; `mine` is the caller's own organisation. */
const around: Readonly<Record<string, (id: string, mine: Planted) => Body>> = {
  'POST /v1/audio/speech voice.id': (id) => ({ voice: { id } }),
  'POST /api/v1/keys/verify key': (key) => ({ key }),
  'POST /api/v1/limits subject_id': (subject_id) => ({ subject_kind: kindOf(subject_id), subject_id, ...limit }),
  'POST /api/v1/limits/presets/apply subject_id': (subject_id) => ({
    preset: 'standard',
    subject_kind: kindOf(subject_id),
    subject_id,
  }),
  'POST /api/v1/budgets subject_id': (subject_id) => ({ ...budget, subject_kind: kindOf(subject_id), subject_id }),
  'POST /api/v1/budgets parent_run_id': (parent_run_id) => ({ ...run, subject_id: 'a-run', parent_run_id }),
  'POST /api/v1/routing/policies attach.id': (id) => ({ ...rules, attach: { kind: attachKindOf(id), id } }),
  'PUT /api/v1/routing/policies/:id attach.id': (id) => ({ ...rules, attach: { kind: attachKindOf(id), id } }),
  'POST /api/v1/routing/replay policy_id': (policy_id) => ({ policy_id }),
  'POST /api/v1/routing/explain helix.run_id': (run_id) => ({ ...chat, helix: { run_id } }),
  'POST /api/v1/routing/explain messages.tool_calls.id': (id) => calling(id),
  'POST /api/v1/routing/explain messages.tool_call_id': (id) => calling(id),
  'POST /api/v1/routing/classify messages.tool_calls.id': (id) => classifying(id),
  'POST /api/v1/routing/classify messages.tool_call_id': (id) => classifying(id),
  'POST /api/v1/ollama/models/pull/:name{.+} node_id': (node_id) => ({ node_id }),
  'POST /api/v1/ollama/models/load node_id': (node_id) => ({ name: 'a-model', node_id }),
  'POST /api/v1/ollama/models/unload node_id': (node_id) => ({ name: 'a-model', node_id }),
  'POST /api/v1/vision/analyze upload_id': (upload_id) => ({ upload_id }),
  'POST /api/v1/vision/detect-objects upload_id': (upload_id) => ({ upload_id }),
  'POST /api/v1/vision/extract-text upload_id': (upload_id) => ({ upload_id }),
  'POST /api/v1/vision/ocr upload_id': (upload_id) => ({ upload_id }),
  'POST /api/v1/vision/search-similar upload_id': (upload_id) => ({ upload_id }),
  'POST /api/v1/vision/batch/analyze images.upload_id': (upload_id) => ({ images: [{ upload_id }] }),
  'POST /api/v1/vision/search upload_id': (upload_id) => ({ upload_id }),
  'POST /api/v1/vision/images upload_id': (upload_id) => ({ upload_id }),
  'POST /api/v1/audio/transcribe upload_id': (upload_id) => ({ upload_id }),
  'POST /api/v1/audio/analyze-music upload_id': (upload_id) => ({ upload_id }),
  'POST /api/v1/audio/classify upload_id': (upload_id) => ({ upload_id }),
  'POST /api/v1/audio/analyze-emotion upload_id': (upload_id) => ({ upload_id }),
  'POST /api/v1/audio/identify-speaker upload_id': (upload_id) => ({ upload_id }),
  'POST /api/v1/audio/identify-speakers upload_id': (upload_id) => ({ upload_id }),
  'POST /api/v1/providers/discover provider_id': (provider_id) => ({ provider_id }),
  'POST /api/v1/providers/:id/credentials key': (key) => ({ label: key.slice(0, 64), key }),
  'POST /v1/chat/completions helix.run_id': (run_id) => ({ ...chat, helix: { run_id } }),
  'POST /v1/chat/completions/stream helix.run_id': (run_id) => ({ ...chat, helix: { run_id } }),
  'POST /v1/completions helix.run_id': (run_id) => ({ ...complete, helix: { run_id } }),
  'POST /v1/completions/stream helix.run_id': (run_id) => ({ ...complete, helix: { run_id } }),
  'POST /v1/embeddings helix.run_id': (run_id) => ({ ...embed, helix: { run_id } }),
  'POST /v1/messages helix.run_id': (run_id) => ({ ...message, helix: { run_id } }),
  'POST /v1/messages/count_tokens helix.run_id': (run_id) => ({ ...chat, helix: { run_id } }),
  'POST /v1/chat/completions messages.tool_calls.id': (id) => calling(id),
  'POST /v1/chat/completions messages.tool_call_id': (id) => calling(id),
  'POST /v1/ensemble/completions helix.run_id': (run_id) => ({ ...chat, helix: { run_id } }),
  'POST /v1/ensemble/completions messages.tool_calls.id': (id) => calling(id),
  'POST /v1/ensemble/completions messages.tool_call_id': (id) => calling(id),
  'POST /v1/chat/completions/stream messages.tool_calls.id': (id) => calling(id),
  'POST /v1/chat/completions/stream messages.tool_call_id': (id) => calling(id),
  'POST /v1/responses helix.run_id': (run_id) => ({ ...respond, helix: { run_id } }),
  'POST /v1/responses previous_response_id': (previous_response_id) => ({ ...respond, previous_response_id }),
  'POST /v1/responses input.id': (id) => ({ ...respond, input: [{ type: 'item_reference', id }] }),
  'POST /v1/responses input.call_id': (call_id) => responding({ call_id }),
  'POST /v1/responses input.content.file_id': (file_id) => responding({ file_id }),
  'POST /v1/responses input.output.file_id': (file_id) => responding({ file_id }),
  'POST /v1/messages messages.content.id': (id) => using(id),
  'POST /v1/messages messages.content.tool_use_id': (id) => using(id),
  'POST /v1/messages metadata.user_id': (user_id) => ({ ...message, metadata: { user_id } }),
  'POST /v1/messages/count_tokens messages.content.id': (id) => using(id),
  'POST /v1/messages/count_tokens messages.content.tool_use_id': (id) => using(id),
  'POST /api/v1/secrets scope_id': (scope_id) => ({ name: 'OF_AGENT', value: 'a', scope_kind: 'agent', scope_id }),
  'POST /api/v1/auth/login org_id': (org_id, { owner }) => ({ username: owner.username, password, org_id }),
  'POST /api/v1/auth/login-json org_id': (org_id, { owner }) => ({ username: owner.username, password, org_id }),
  'POST /api/v1/auth/exchange org_id': (org_id, { owner }) => ({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: owner.accessToken,
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    org_id,
  }),
  'POST /api/v1/auth/admin/change-password username': (username) => ({ username, new_password: password }),
  'POST /api/v1/auth/switch-org org_id': (org_id) => ({ org_id }),
}

const kindOf = (id: string): string => (id.startsWith('org_') ? 'org' : id.startsWith('key_') ? 'key' : 'user')

const attachKindOf = (id: string): string => (id.startsWith('org_') ? 'org' : 'key')

const calling = (id: string): Body => ({
  ...chat,
  messages: [
    userSays,
    { role: 'assistant', content: null, tool_calls: [toolCall(id)] },
    { role: 'tool', tool_call_id: id, content: 'nothing' },
  ],
})

const classifying = (id: string): Body => ({ messages: calling(id).messages })

const responding = ({ call_id = 'call_1', file_id = 'file_1' }: Record<string, string>): Body => ({
  ...respond,
  input: [
    { role: 'user', content: [{ type: 'input_file', file_id }] },
    { type: 'function_call', call_id, name: 'look', arguments: '{}' },
    { type: 'function_call_output', call_id, output: [{ type: 'input_file', file_id }] },
  ],
})

const using = (id: string): Body => ({
  ...message,
  messages: [
    userSays,
    { role: 'assistant', content: [{ type: 'tool_use', id, name: 'look', input: {} }] },
    { role: 'user', content: [{ type: 'tool_result', tool_use_id: id, content: 'nothing' }] },
  ],
})

const keyOf = ({ entry, field }: IdField) => `${nameOf(entry)} ${field}`

/** The places that nobody has said how to fill. */
export const unknownFields = (fields: readonly IdField[]): string[] =>
  fields.filter(({ place, ...field }) => place === 'body' && !around[keyOf({ place, ...field })]).map(keyOf)

export const fill = (field: IdField, id: string, mine: Planted): Body => around[keyOf(field)]?.(id, mine) ?? {}

/** Fields whose text is the caller's own word for something: a call that holds any is answered. */
const FREE = /^(?:messages\.|input\.(?!id$)|metadata\.user_id$)/
/** Told by the answer itself that there is nothing, or of no run since nothing is spent. */
const ANSWERED = [
  'POST /api/v1/keys/verify key',
  'POST /v1/messages/count_tokens helix.run_id',
  'POST /api/v1/routing/explain helix.run_id',
]

export const mayBeAnswered = (field: IdField): boolean =>
  field.place === 'query' || FREE.test(field.field) || ANSWERED.includes(keyOf(field))
