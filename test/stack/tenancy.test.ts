import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Mailbox, startMailbox } from '../../scripts/local/mailbox/server.ts'
import { areas } from '../../src/features/index.ts'
import { hashPassword } from '../../src/features/passwords/service.ts'
import { loadTable, nameOf } from '../contract/route-table.ts'
import { type Planted, plant } from '../support/canaries.ts'
import { type FakeVendor, startFakeVendor } from '../support/fake-vendor/server.ts'
import { count, full } from '../support/lane.ts'
import { person } from '../support/people.ts'
import { watchPredicates } from '../support/predicate-proxy.ts'
import { callRoute, forEach, type RouteCall } from '../support/route-calls.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { storesHere } from '../support/stores.ts'
import { tenantTables } from '../support/tables.ts'
import { bodies, bodyOf, fill, idFieldsOf, mayBeAnswered, password, unknownFields } from './tenancy-calls.ts'
import { expectOwnCalls, inOrder } from './tenancy-own.ts'
import { foreignIn, idsAt, idsFor, isRefused, paramsOf } from './tenancy-probes.ts'

const table = await loadTable(areas)
const guarded = table.filter(({ route }) => route.spec.scope !== 'public')
const fields = table.flatMap(idFieldsOf)
const AT_ONCE = 4
const TIMEOUT_MS = count(180_000, 900_000)

const predicates = watchPredicates()
let stack: Stack
let vendor: FakeVendor
let mailbox: Mailbox

beforeAll(async () => {
  vendor = await startFakeVendor()
  mailbox = await startMailbox({ port: 0, token: 'token-of-the-mailbox' })
  stack = await startStack({
    vars: {
      OPENAI_API_KEY: 'sk-fake-1',
      OPENAI_BASE_URL: vendor.url,
      // Issuers that are tried are not looked for outside of this machine.
      DOH_URL: `${vendor.url}/dns-query`,
      MAIL_URL: `${mailbox.url}/emails`,
      MAIL_API_KEY: mailbox.token,
    },
    rewriteSql: predicates.rewrite,
  })
})

afterAll(async () => {
  await stack?.close()
  await Promise.all([vendor?.close(), mailbox?.close()])
})

type Probe = RouteCall & { theirs: Planted; named?: string | undefined; isFine: (status: number) => boolean }

/** What is wrong with the answer to a call that names something of another organisation. */
async function faultOf({ theirs, named, isFine, ...call }: Probe): Promise<string | undefined> {
  const answer = await callRoute(stack, call)
  const foreign = foreignIn(answer, theirs, named)
  if (foreign.length === 0 && isFine(answer.status)) return undefined
  const shown = foreign.length > 0 ? ` and shows ${foreign.join(', ')}` : ''
  return `${nameOf(call.entry)} with ${named ?? 'nothing'} answers ${answer.status}${shown}: ${answer.body.slice(0, 300)}`
}

const faultsOf = async (probes: readonly Probe[]): Promise<string[]> =>
  (await forEach(probes, AT_ONCE, faultOf)).filter((fault) => fault !== undefined)

describe('what a route may be asked', () => {
  it('is known for every body and for every place of an id in one', () => {
    const without = guarded.filter((entry) => entry.route.spec.body && !bodyOf(entry)).map(nameOf)
    expect(without).toEqual([])
    expect(unknownFields(fields)).toEqual([])
    const names = new Set(table.map(nameOf))
    expect(Object.keys(bodies).filter((name) => !names.has(name))).toEqual([])
  })
})

describe.each([
  { how: 'as it ships', isDropping: false },
  { how: 'with no statement that names its organisation', isDropping: true },
])('the gateway $how', ({ isDropping }) => {
  let mine: Planted
  let theirs: Planted
  let before: Record<string, string>

  beforeAll(async () => {
    if (isDropping) predicates.drop()
    mine = await plant(stack)
    const hash = await hashPassword(stack.vars.PASSWORD_PEPPER ?? '', password)
    await stack.query('update users set password_hash = $2 where id = $1', [mine.owner.userId, hash])
    theirs = await plant(stack)
    before = await theirs.snapshot()
  })

  /** After each kind of call: nothing of theirs has moved. */
  const expectUnchanged = async () => expect(await theirs.snapshot()).toEqual(before)
  /** A session and a key; in the default lane one of them, in turn, and the other one in the other round. */
  const credentials = (turn: number) =>
    [mine.owner.accessToken, mine.apiKey].filter((_, at) => full() || (turn + at + Number(isDropping)) % 2 === 0)

  /**
   * Without its conditions on the organisation the gateway is asked everything; as it ships, where they hold beside the
   * rules of the rows, every third thing of a kind in the default lane.
   */
  const tried = (_thing: unknown, turn: number) => full() || isDropping || turn % 3 === 0

  it('has rows of another organisation in every table', async () => {
    const tables = await theirs.tables()
    expect(Object.keys(tables)).toEqual(expect.arrayContaining(await tenantTables(stack)))
    expect(Object.entries(tables).filter(([, rows]) => rows === 0)).toEqual([])
  })

  it('lists nothing of theirs', async () => {
    const lists = table.filter(({ route }) => route.method === 'get' && !route.spec.params)
    const probes = lists.filter(tried).flatMap((entry, turn) =>
      credentials(turn).map((credential): Probe => {
        const hasLimit = entry.route.spec.query?.safeParse({ limit: '100' }).success === true
        const isFine = (status: number) =>
          status < 400 || entry.route.spec.scope === 'public' || isRefused(entry, status)
        return { entry, credential, query: hasLimit ? { limit: '100' } : {}, theirs, isFine }
      }),
    )
    expect(await faultsOf(probes)).toEqual([])
  })

  it('answers no path with an id of theirs', { timeout: TIMEOUT_MS }, async () => {
    const withParams = table.filter(({ route }) => route.spec.params)
    const probes = inOrder(withParams.filter(tried)).flatMap((entry, turn) =>
      idsFor(entry, theirs.ids).flatMap((named, at) =>
        credentials(turn + at).map((credential): Probe => {
          const body = bodyOf(entry)
          const isFine = (status: number) => isRefused(entry, status)
          return { entry, credential, params: paramsOf(entry, named), body, theirs, named, isFine }
        }),
      ),
    )
    expect(await faultsOf(probes)).toEqual([])
    await expectUnchanged()
  })

  it('answers no query and no body with an id of theirs', { timeout: TIMEOUT_MS }, async () => {
    const values = [...theirs.ids, theirs.apiKey]
    const probes = fields.filter(tried).flatMap((field, turn) =>
      idsAt(field, values, turn + Number(isDropping)).map((named): Probe => {
        const { entry, place } = field
        const input = place === 'query' ? { query: { [field.field]: named } } : { body: fill(field, named, mine) }
        const isFine = (status: number) => isRefused(entry, status) || (mayBeAnswered(field) && status < 300)
        return { entry, credential: mine.owner.accessToken, theirs, named, isFine, ...input }
      }),
    )
    expect(await faultsOf(probes)).toEqual([])
    await expectUnchanged()
  })

  it('does with rows of one’s own what it is asked, and nothing with theirs', { timeout: TIMEOUT_MS }, async () => {
    // What was planted need not be a whole thing, as other calls find it: what replaces one always comes first.
    const own = guarded.filter((entry, turn) => entry.route.method === 'put' || tried(entry, turn))
    await expectOwnCalls(stack, own, { mine, theirs })
    await expectUnchanged()
  })
})

describe('somebody who is in two organisations', () => {
  /** What an owner of one of them may try on its people, the last of it last. */
  const acts = [
    'POST /api/v1/auth/admin/change-password',
    'PATCH /api/v1/members/:user_id',
    'PATCH /api/v1/users/:id',
    'DELETE /api/v1/members/:user_id',
  ]

  it('stays in the other one whatever an owner of the first does', async () => {
    const [mine, theirs] = [await person(stack), await plant(stack)]
    const { userId, username } = theirs.owner
    await stack.query(
      `insert into memberships (org_id, user_id, role, created_at, updated_at) values ($1, $2, 'member', 0, 0)`,
      [mine.orgId, userId],
    )
    const before = await theirs.snapshot()
    const statuses: Record<string, number> = {}
    for (const entry of acts.flatMap((name) => table.filter((one) => nameOf(one) === name))) {
      const body = { ...bodyOf(entry), ...(entry.route.spec.params ? {} : { username }) }
      const call = { entry, credential: mine.accessToken, params: paramsOf(entry, userId) }
      const sent = entry.route.method === 'delete' ? call : { ...call, body }
      statuses[nameOf(entry)] = (await callRoute(stack, sent)).status
    }
    expect(Object.entries(statuses).map(([name, status]) => `${name} ${status}`)).toEqual([
      'POST /api/v1/auth/admin/change-password 403',
      'PATCH /api/v1/members/:user_id 200',
      'PATCH /api/v1/users/:id 200',
      'DELETE /api/v1/members/:user_id 204',
    ])
    expect(await theirs.snapshot()).toEqual(before)
    const still = await stack.call(theirs.owner.accessToken, '/api/v1/auth/me')
    expect(still.status).toBe(200)
    expect((await stack.call(theirs.apiKey, '/api/v1/keys')).status).toBe(200)
  })
})

describe('the statements of the gateway', () => {
  it('lost their conditions on the way to Postgres', () => {
    expect(predicates.dropped()).toBeGreaterThan(100)
    expect(predicates.opened().length).toBeGreaterThan(50)
  })

  it('each name an organisation', async () => {
    const names = (await tenantTables(stack)).map((name) => `"${name}"`)
    const anonymous = predicates
      .sent()
      .filter(({ query }) => names.some((name) => query.includes(name)) && !/\borg_id\b/.test(query))
    expect([...new Set(anonymous.map(({ query }) => query))]).toEqual([])
  })

  it('would show every organisation without row-level security', async () => {
    const witness = await plant(stack)
    const { proxyUrl, systemUrl } = storesHere()
    const reads = predicates.opened().filter(({ query }) => /^select\b/i.test(query) && !/for update/.test(query))
    const showsWitness = async (statement: (typeof reads)[number]): Promise<boolean> => {
      const response = await fetch(`${proxyUrl}/sql`, {
        method: 'POST',
        headers: { 'neon-connection-string': systemUrl, 'content-type': 'application/json' },
        body: JSON.stringify(statement),
      })
      return (await response.text()).includes(witness.canaries[0] ?? '')
    }
    for (const name of ['api_keys', 'memberships', 'invitations', 'oidc_providers']) {
      // One that is narrowed by something else, such as a place in a list, may show nothing: another does.
      const candidates = reads.filter(({ query }) => query.includes(`from "${name}"`))
      let isShown = false
      for (const statement of candidates) isShown ||= await showsWitness(statement)
      expect(isShown, name).toBe(true)
    }
  })
})
