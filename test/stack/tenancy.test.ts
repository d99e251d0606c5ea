import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { type Mailbox, startMailbox } from '../../scripts/local/mailbox/server.ts'
import { areas } from '../../src/features/index.ts'
import { hashPassword } from '../../src/features/passwords/service.ts'
import { type Entry, loadTable, nameOf } from '../contract/route-table.ts'
import { type Planted, plant } from '../support/canaries.ts'
import { type FakeVendor, startFakeVendor } from '../support/fake-vendor/server.ts'
import { full } from '../support/lane.ts'
import { person } from '../support/people.ts'
import { watchPredicates } from '../support/predicate-proxy.ts'
import { type Answer, callRoute, forEach, type RouteCall } from '../support/route-calls.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { tenantTables } from '../support/tables.ts'
import {
  bodies,
  bodyOf,
  fill,
  type IdField,
  idFieldsOf,
  mayBeAnswered,
  password,
  unknownFields,
} from './tenancy-calls.ts'

const table = await loadTable(areas)
const guarded = table.filter(({ route }) => route.spec.scope !== 'public')
const withParams = table.filter(({ route }) => route.spec.params)
const fields = table.flatMap(idFieldsOf)
const AT_ONCE = 4

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

/** What of the other organisation an answer shows, beside what the call itself named. */
function foreignIn({ head, body }: Answer, theirs: Planted, named: string | undefined): string[] {
  const shown = named === undefined ? `${head}\n${body}` : `${head}\n${body}`.replaceAll(named, '')
  const foreign = [...theirs.canaries, ...theirs.ids].filter((text) => text !== named && !named?.includes(text))
  return foreign.filter((text) => shown.includes(text))
}

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

/** The ids that a path takes, and one that it does not take; in the full lane all of them. */
function idsFor(entry: Entry, ids: readonly string[]): readonly string[] {
  if (full()) return ids
  const refused = ids.find((id) => !takes(entry, id))
  // What takes anything is no id of ours: a model's name, an error's code.
  return refused === undefined ? [...firstOfEachKind(ids)] : [...ids.filter((id) => takes(entry, id)), refused]
}

const takes = (entry: Entry, id: string): boolean =>
  entry.route.spec.params?.safeParse(paramsOf(entry, id)).success === true

/** What a field of that name could hold. */
const LIKELY: Readonly<Record<string, RegExp>> = {
  org_id: /^org_/,
  user_id: /^usr_/,
  username: /-(?:owner|member)$/,
  key: /^(?:key|hx)_/,
}

/** One id of each kind that may stand in a field, and one that may not; in the full lane all of them. */
function idsAt({ field }: IdField, ids: readonly string[]): readonly string[] {
  const likely = LIKELY[field]
  const fitting = likely ? ids.filter((id) => likely.test(id)) : [...firstOfEachKind(ids)]
  // Signing in costs a password hash each time: there it is only what can be an organisation.
  if (field === 'org_id') return fitting
  if (full()) return ids
  const other = ids.find((id) => !fitting.includes(id))
  return other === undefined ? fitting : [...fitting, other]
}

function firstOfEachKind(ids: readonly string[]): Iterable<string> {
  const kinds = new Map<string, string>()
  for (const id of ids) {
    const kind = /^([a-z]+)_[0-9a-z]{26}$/.exec(id)?.[1]
    if (kind !== undefined && !kinds.has(kind)) kinds.set(kind, id)
  }
  return kinds.values()
}

const paramsOf = ({ route }: Entry, id: string): Record<string, string> =>
  Object.fromEntries([...route.path.matchAll(/:(\w+)/g)].map(([, name = '']) => [name, id]))

/** Nobody was let in. 401 and 429 would say nothing about whose row it is, where there is a caller. */
const isRefused = ({ route }: Entry, status: number) =>
  status >= 400 && status < 500 && (route.spec.scope === 'public' || (status !== 401 && status !== 429))

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
  const credentials = () => [mine.owner.accessToken, mine.apiKey]

  it('has rows of another organisation in every table', async () => {
    const tables = await theirs.tables()
    expect(Object.keys(tables)).toEqual(expect.arrayContaining(await tenantTables(stack)))
    expect(Object.entries(tables).filter(([, rows]) => rows === 0)).toEqual([])
  })

  it('answers no path with an id of theirs', async () => {
    const probes = withParams.flatMap((entry) =>
      idsFor(entry, theirs.ids).flatMap((named) =>
        credentials().map((credential): Probe => {
          const body = bodyOf(entry)
          const isFine = (status: number) => isRefused(entry, status)
          return { entry, credential, params: paramsOf(entry, named), body, theirs, named, isFine }
        }),
      ),
    )
    expect(await faultsOf(probes)).toEqual([])
    await expectUnchanged()
  })

  it('answers no query and no body with an id of theirs', async () => {
    const values = [...theirs.ids, theirs.apiKey]
    const probes = fields.flatMap((field) =>
      idsAt(field, values).map((named): Probe => {
        const { entry, place } = field
        const input = place === 'query' ? { query: { [field.field]: named } } : { body: fill(field, named, mine) }
        const isFine = (status: number) => isRefused(entry, status) || (mayBeAnswered(field) && status < 300)
        return { entry, credential: mine.owner.accessToken, theirs, named, isFine, ...input }
      }),
    )
    expect(await faultsOf(probes)).toEqual([])
    await expectUnchanged()
  })

  it('lists nothing of theirs', async () => {
    const lists = table.filter(({ route }) => route.method === 'get' && !route.spec.params)
    const probes = lists.flatMap((entry) =>
      credentials().map((credential): Probe => {
        const hasLimit = entry.route.spec.query?.safeParse({ limit: '100' }).success === true
        const isFine = (status: number) => status < 400 || isRefused(entry, status)
        return { entry, credential, query: hasLimit ? { limit: '100' } : {}, theirs, isFine }
      }),
    )
    expect(await faultsOf(probes)).toEqual([])
  })

  it('does with rows of one’s own what it is asked, and nothing with theirs', async () => {
    await expectOwnCalls(mine, theirs)
    await expectUnchanged()
  })
})

const METHODS = ['get', 'put', 'patch', 'post', 'delete']
/** What leaves nothing to call with. */
const LAST = ['POST /api/v1/auth/change-password', 'DELETE /api/v1/org']
const rankOf = (entry: Entry) => LAST.indexOf(nameOf(entry)) * METHODS.length + METHODS.indexOf(entry.route.method)

/** Every call on rows of one's own: what is refused above is refused because of whose it is. */
async function expectOwnCalls(mine: Planted, theirs: Planted): Promise<void> {
  const faults: string[] = []
  for (const entry of [...guarded].sort((a, b) => rankOf(a) - rankOf(b))) {
    const answers: Answer[] = []
    for (const call of await ownCalls(entry, mine)) answers.push(await callRoute(stack, call))
    const foreign = answers.flatMap((answer) => foreignIn(answer, theirs, undefined))
    if (foreign.length > 0) faults.push(`${nameOf(entry)} shows ${foreign.join(', ')}`)
    if (worksOnOwn(entry) && !answers.some(({ status }) => status < 300)) {
      faults.push(`${nameOf(entry)} answers ${answers.map(({ status, body }) => `${status} ${body}`).join(' · ')}`)
    }
  }
  expect(faults).toEqual([])
}

/** Routes of the platform are not for owners, and models are nobody's. */
const worksOnOwn = (entry: Entry): boolean =>
  entry.route.spec.scope !== 'operator' && nameOf(entry) !== 'GET /v1/models/:model{.+}'

async function ownCalls(entry: Entry, mine: Planted): Promise<RouteCall[]> {
  const { method, spec } = entry.route
  const { owner } = mine
  const own = mine.ids.filter((id) => ![owner.userId, owner.sessionId, owner.username].includes(id))
  const isOfAnyOwner = method !== 'get' && !spec.params && !LAST.includes(nameOf(entry))
  const { accessToken } = isOfAnyOwner ? await person(stack, { orgId: mine.orgId }) : owner
  const call = { entry, credential: accessToken, body: bodyOf(entry), query: confirming(entry, mine) }
  if (spec.params) return own.filter((id) => takes(entry, id)).map((id) => ({ ...call, params: paramsOf(entry, id) }))
  const places = idFieldsOf(entry).filter(({ place }) => place === 'body')
  const filled = places.flatMap((field) =>
    idsAt(field, [...own, mine.apiKey]).map((id) => ({ ...call, body: fill(field, id, mine) })),
  )
  return filled.length > 0 ? filled : [call]
}

const confirming = (entry: Entry, { slug }: Planted): Record<string, string> =>
  nameOf(entry) === 'DELETE /api/v1/org' ? { confirm: slug } : {}

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
    const { proxyUrl, systemUrl } = inject('stores')
    const reads = new Map(predicates.opened().map((statement) => [statement.query, statement]))
    const readable = [...reads.values()].filter(({ query }) => /^select\b/i.test(query) && !/for update/.test(query))
    const shown = await forEach(readable, AT_ONCE, async (statement) => {
      const response = await fetch(`${proxyUrl}/sql`, {
        method: 'POST',
        headers: { 'neon-connection-string': systemUrl, 'content-type': 'application/json' },
        body: JSON.stringify(statement),
      })
      return { query: statement.query, isForeign: (await response.text()).includes(witness.canaries[0] ?? '') }
    })
    const foreign = shown.filter(({ isForeign }) => isForeign).map(({ query }) => query)
    for (const name of ['api_keys', 'memberships', 'invitations', 'oidc_providers']) {
      expect(
        foreign.some((query) => query.includes(`from "${name}"`)),
        name,
      ).toBe(true)
    }
  })
})
