import { newId } from '../../src/core/ids.ts'
import { keyVersionOf, seal } from '../../src/features/encryption/service.ts'
import { prefixOf } from './id-prefixes.ts'
import { depsOver, keyOf, type Person, person } from './people.ts'
import type { Stack } from './stack.ts'
import { type Column, columnsOf, tenantTables, vocabulariesOf } from './tables.ts'

type Row = Record<string, unknown>

/** An organisation with a row in every tenant table, and texts in them that stand nowhere else. */
export type Planted = {
  orgId: string
  slug: string
  owner: Person
  /** A key that works. */
  apiKey: string
  /** Every value of an id that one of its rows has. */
  ids: readonly string[]
  /** In every text of its rows whose values are free, and in the secrets of the rows that are real. */
  canaries: readonly string[]
  /** How many rows it has in each table. */
  tables(): Promise<Record<string, number>>
  /** All of its rows, as text. */
  snapshot(): Promise<Record<string, string>>
}

/** Tables whose ids are hashes. */
const WITHOUT_PREFIX = ['idempotency_keys', 'own_prices']

/** Columns that name a row of a table without a foreign key. */
const NOUNS: Readonly<Record<string, string>> = {
  key_id: 'api_keys',
  policy_id: 'policies',
  routing_policy_id: 'routing_policies',
  previous_response_id: 'responses',
  rotated_from: 'api_keys',
  invited_by: 'users',
  actor_id: 'users',
  created_by: 'users',
  space_id: 'embedding_spaces',
  owner_id: 'chunks',
}

/** JSON that is more than notes. */
const SHAPES: Readonly<Record<string, (text: string) => unknown>> = {
  'decisions.candidates': (text) => [{ target: text, reason: text }],
  'decisions.excluded': (text) => [{ target: text, reason: text }],
  'decisions.attempts': (text) => [{ target: text, outcome: text, duration_ms: 7 }],
  'decisions.relaxed': (text) => [text],
  'decisions.experiment': (text) => ({ id: text, variant: text, propensity: 1 }),
  'decisions.inputs': (text) => ({ note: text }),
  'decisions.ensemble': (text) => ({ strategy: text, voting_method: text, agreement: 1, members: [], helpers: [] }),
  'ensemble_configs.config': (text) => ({ note: text }),
  'model_stats.errors': (text) => ({ [text]: 1 }),
  'routing_policies.rules': (text) => ({ strategy: 'priority', targets: [], fallbacks: { [text]: [text] } }),
  'routing_policy_versions.rules': (text) => ({ strategy: 'priority', targets: [], fallbacks: { [text]: [text] } }),
  'policies.limits': (text) => [{ metric: text, per_minute: 7 }],
  'oidc_providers.role_map': (text) => ({ [text]: 'member' }),
  'providers.models': (text) => [{ name: text, kind: 'chat' }],
  'providers.quirks': () => ({}),
  'nodes.limits': () => ({}),
  'nodes.allowed_pulls': (text) => [text],
  'images.tags': (text) => [text],
  'transcripts.segments': () => [],
  'transcripts.words': () => [],
  'relations.evidence': (text) => [{ source_id: null, start: 0, end: text.length, text }],
}

export async function plant(stack: Stack): Promise<Planted> {
  const word = `canary${crypto.randomUUID().replaceAll('-', '')}`
  const { orgId } = await stack.org({ name: word })
  const slug = `${word}-slug`
  await stack.query(`update orgs set slug = $2, data_region = $3, settings = $4 where id = $1`, [
    orgId,
    slug,
    `${word}-region`,
    JSON.stringify({ note: word }),
  ])
  const owner = await person(stack, { orgId, mark: `${word}-owner` })
  await person(stack, { orgId, role: 'member', mark: `${word}-member` })
  const { apiKey } = await keyOf(stack, { orgId, userId: owner.userId })
  await plantRows(stack, { word, orgId, userId: owner.userId })
  await sealSecrets(stack, orgId)
  const tables = await tenantTables(stack)
  const rows = await rowsOf(stack, orgId, tables)
  return {
    orgId,
    slug,
    owner,
    apiKey,
    ids: idsIn(rows),
    canaries: [word, apiKey, owner.accessToken, owner.refreshToken],
    tables: async () =>
      Object.fromEntries(Object.entries(await rowsOf(stack, orgId, tables)).map(([table, all]) => [table, all.length])),
    snapshot: async () =>
      Object.fromEntries(
        Object.entries(await rowsOf(stack, orgId, tables)).map(([table, all]) => [table, JSON.stringify(all)]),
      ),
  }
}

/** All rows of an organisation: its own, those of its tables and its people. */
async function rowsOf(stack: Stack, orgId: string, tables: readonly string[]): Promise<Record<string, Row[]>> {
  const where = Object.fromEntries(tables.map((table) => [table, `"org_id" = $1`]))
  const all = {
    ...where,
    orgs: `"id" = $1`,
    users: `"id" in (select user_id from memberships where org_id = $1)`,
  }
  const found: Record<string, Row[]> = {}
  for (const [table, condition] of Object.entries(all)) {
    found[table] = await stack.query(`select * from "${table}" t where ${condition} order by t::text`, [orgId])
  }
  return found
}

/** Keys of the installation seal for every organisation. */
const isIdColumn = (name: string) => name !== 'kek_id' && /^(id|kid|public_id|slug|username|.+_id|.+_hash)$/.test(name)

function idsIn(tables: Readonly<Record<string, readonly Row[]>>): string[] {
  const values = Object.values(tables).flatMap((rows) =>
    rows.flatMap((row) => Object.entries(row).flatMap(([name, value]) => (isIdColumn(name) ? [value] : []))),
  )
  return [...new Set(values.filter((value) => typeof value === 'string'))]
}

async function plantRows(stack: Stack, of: { word: string; orgId: string; userId: string }): Promise<void> {
  const columns = await columnsOf(stack)
  const vocabularies = await vocabulariesOf()
  const made = new Map<string, Row>([
    ['orgs', { id: of.orgId }],
    ['users', { id: of.userId }],
    ['memberships', {}],
    // Whoever signed in is in the audit log, and so is its end.
    ['audit_heads', {}],
  ])
  const waiting = new Set((await tenantTables(stack)).filter((table) => !made.has(table)))
  while (waiting.size > 0) {
    const next = [...waiting].find((table) =>
      columns.every(({ table: own, refersTo }) => own !== table || !refersTo || made.has(refersTo.table)),
    )
    if (next === undefined) throw new Error(`no row can be planted in ${[...waiting].join(', ')}`)
    const own = columns.filter(({ table, isGenerated }) => table === next && !isGenerated)
    const row = Object.fromEntries(own.map((column) => [column.name, contentOf(column, { ...of, made, vocabularies })]))
    await insert(stack, next, row)
    made.set(next, row)
    waiting.delete(next)
  }
}

const SEALED = [
  ['secrets', 'value'],
  ['provider_credentials', 'secret'],
  ['responses', 'input'],
  ['responses', 'output'],
] as const

/** What is sealed where the text alone would mean nothing. */
const SEALED_SHAPES: Readonly<Record<string, (text: string, id: string) => unknown>> = {
  'responses.input': (text, id) => [{ type: 'message', id: id.replace('resp', 'msg'), role: 'user', content: text }],
  'responses.output': (text, id) => ({ id, object: 'response', status: 'completed', model: text, output: [] }),
}

/** Values of secrets and credentials, and the data key of the organisation, as the gateway would have stored them. */
async function sealSecrets(stack: Stack, orgId: string): Promise<void> {
  await stack.query('delete from data_keys where org_id = $1', [orgId])
  for (const [table, column] of SEALED) {
    for (const { id, value } of await stack.query(`select id, "${column}" as value from "${table}" where org_id = $1`, [
      orgId,
    ])) {
      const shape = SEALED_SHAPES[`${table}.${column}`]
      const text = shape ? JSON.stringify(shape(String(value), String(id))) : String(value)
      const sealed = await seal(depsOver(stack), { orgId, table, column, rowId: String(id) }, text)
      await stack.query(`update "${table}" set "${column}" = $2, dek_version = $3 where id = $1`, [
        id,
        sealed,
        keyVersionOf(sealed),
      ])
    }
  }
}

async function insert(stack: Stack, table: string, row: Row): Promise<void> {
  const names = Object.keys(row)
  const places = names.map((_name, index) => `$${index + 1}`)
  await stack.query(
    `insert into "${table}" (${names.map((name) => `"${name}"`).join(', ')}) values (${places.join(', ')})`,
    Object.values(row),
  )
}

type Known = {
  word: string
  orgId: string
  userId: string
  /** Rows that exist, by table. */
  made: ReadonlyMap<string, Row>
  /** Allowed values by `table.column`. */
  vocabularies: ReadonlyMap<string, string>
}

/** A value that fits the column and tells where it comes from, where texts are free. */
function contentOf(
  { table, name, type, refersTo }: Column,
  { word, orgId, userId, made, vocabularies }: Known,
): unknown {
  if (name === 'org_id') return orgId
  if (refersTo) return made.get(refersTo.table)?.[refersTo.column]
  const allowed = vocabularies.get(`${table}.${name}`)
  if (allowed !== undefined) return allowed
  if (name === 'id' && !WITHOUT_PREFIX.includes(table)) return newId(prefixOf(table), Date.now())
  // A limit that is there and refuses nobody.
  if (table === 'limits' && type === 'bigint' && !name.endsWith('_at')) return 1_000_000
  // One that could be there: what it is changed to stays at the same host.
  if (table === 'providers' && name === 'base_url') return 'https://models.example.com/v1'
  if (table === 'providers' && name === 'vendor') return null
  if (table === 'nodes' && name.endsWith('_url')) return 'https://node.example.com'
  // A node that needs no credential: a text that nobody sealed would open for nobody.
  if (table === 'nodes' && (name === 'credential' || name === 'dek_version')) return null
  // A source, its chunks and their vectors are one thing, and the generation that is searched.
  if (name === 'source_id' || name === 'generation') return `${word}-${name}`
  if (name === 'is_current') return true
  if (table === 'request_log' && name === 'request_id') return newId('req', Date.now())
  const noun = NOUNS[name]
  if (noun !== undefined) return noun === 'users' ? userId : (made.get(noun)?.id ?? null)
  if (name === 'attach_id' || name === 'subject_id') return orgId
  const text = `${word}-${table}-${name}`
  const shape = SHAPES[`${table}.${name}`]
  if (shape !== undefined) return JSON.stringify(shape(text))
  switch (type) {
    case 'text':
      return text
    case 'ARRAY':
      return name.endsWith('_percent') ? [50] : [text]
    case 'jsonb':
      return JSON.stringify({ note: text })
    case 'boolean':
      return false
    case 'bigint':
      return timeOf(name)
    case 'integer':
      return 7
    case 'double precision':
    case 'real':
      return 0.5
    case 'regconfig':
      return 'simple'
    case 'vector':
      return JSON.stringify([1, 0, 0, 0, 0, 0, 0])
    default:
      throw new Error(`nothing is known about values of ${table}.${name}, which is ${type}`)
  }
}

const DAY_SECONDS = 86_400

/** Rows are alive: made now, not yet over, and nothing has ended them. */
function timeOf(name: string): number | null {
  const now = Math.floor(Date.now() / 1000)
  // What waits to be done is not due yet.
  if (name === 'expires_at' || name === 'due_at') return now + DAY_SECONDS
  if (name === 'created_at' || name === 'updated_at') return now
  return name.endsWith('_at') ? null : 7
}
