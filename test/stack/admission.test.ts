import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createRedis, createUpstash } from '../../src/adapters/upstash.ts'
import { recordKeys } from '../../src/features/records/service.ts'
import { type FakeVendor, startFakeVendor } from '../support/fake-vendor/server.ts'
import { count } from '../support/lane.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { storesHere } from '../support/stores.ts'
import { booksOf, openCalls } from './truth-books.ts'
import { randomOf } from './truth-traffic.ts'

let stack: Stack
let vendor: FakeVendor
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'helix-admission-'))
  vendor = await startFakeVendor()
  stack = await startStack({ vars: { OPENAI_API_KEY: 'sk-fake-1', OPENAI_BASE_URL: vendor.url }, persistTo: folder })
})
afterAll(async () => {
  await stack?.close()
  await vendor?.close()
  await rm(folder, { recursive: true, force: true })
})

const NANO_PER_USD = 1_000_000_000
const ask = (text: string, more: object = {}) => ({
  model: 'gpt-4o',
  messages: [{ role: 'user', content: text }],
  ...more,
})
const chat = (apiKey: string, body: object, init?: RequestInit) =>
  stack.call(apiKey, '/v1/chat/completions', body, init)

async function codeOf(response: Response): Promise<string> {
  const body = (await response.json()) as { error?: { code?: string } }
  return `${response.status} ${body.error?.code ?? ''}`
}

describe('a small hard budget before many clients at once', () => {
  const CLIENTS = count(40, 500)
  const BUDGET_USD = count(1, 5) * 0.2

  it(
    'is never overspent, is used up, and refuses with insufficient_quota',
    async () => {
      const { apiKey, orgId, budgetId = '' } = await stack.org({ budgetUsd: BUDGET_USD })
      const refusals = new Map<string, number>()
      let answered = 0
      let left = 0

      /** One call of at most 0.3 cents; some callers leave in the middle. True when it was refused. */
      const once = async (random: () => number): Promise<boolean> => {
        const leaves = random() < 0.2
        const body = ask(leaves ? 'fault:slow=5,pieces=30' : 'fault:pieces=30', {
          model: 'gpt-4',
          max_tokens: 30,
          stream: leaves || random() < 0.5,
        })
        const leaving = new AbortController()
        try {
          const response = await chat(apiKey, body, { signal: leaving.signal })
          if (!response.ok) {
            const code = await codeOf(response)
            refusals.set(code, (refusals.get(code) ?? 0) + 1)
            return true
          }
          if (leaves) setTimeout(() => leaving.abort(), random() * 100)
          await response.text()
          answered += 1
        } catch {
          left += 1
        }
        return false
      }
      const client = async (at: number): Promise<void> => {
        const random = randomOf(at)
        for (let refused = 0; refused < 2; ) refused = (await once(random)) ? refused + 1 : 0
      }
      await Promise.all(Array.from({ length: CLIENTS }, (_, at) => client(at)))
      // A Redis that is slow before so many lists a call late: then it is taken off some seconds later.
      await expect.poll(() => openCalls(orgId), { timeout: 30_000 }).toEqual([])
      // What the crowd left over is still there for one who asks again.
      const random = randomOf(CLIENTS)
      while (!(await once(random)));

      await expect.poll(() => booksOf(folder, budgetId), { timeout: 10_000 }).toMatchObject({ waiting: 0, marks: 0 })
      const spentNanoUsd = booksOf(folder, budgetId)?.settledNanoUsd ?? 0
      const share = spentNanoUsd / (BUDGET_USD * NANO_PER_USD)
      console.info(
        `${CLIENTS} clients: ${answered} answered, ${left} left, spent ${(share * 100).toFixed(2)} %`,
        refusals,
      )
      expect([...refusals.keys()]).toEqual(['429 insufficient_quota'])
      expect(refusals.get('429 insufficient_quota')).toBeGreaterThanOrEqual(CLIENTS)
      expect(share).toBeLessThanOrEqual(1)
      // What is left is less than one more call would have to hold.
      expect(share).toBeGreaterThan(count(0.95, 0.97))
      const [row] = await stack.query('select sum(cost_nanos) as cost from usage_ledger where org_id = $1', [orgId])
      expect(Number(row?.cost)).toBe(spentNanoUsd)
    },
    count(60_000, 300_000),
  )
})

describe('a key whose rows change', () => {
  /** Forgets what Redis remembers of a key, as whoever changes its rows does. */
  async function forgetRecord(keyId: string): Promise<void> {
    const { redisUrl: url, redisToken: token } = storesHere()
    const [row] = await stack.query('select secret_hash from api_keys where id = $1', [keyId])
    await createRedis(createUpstash({ url, token })).pipeline([
      ['HDEL', recordKeys.key(String(row?.secret_hash)), ['v', 'p']],
    ])
  }

  it.each([
    ['is revoked', 'update api_keys set revoked_at = 1 where id = $1', '401 invalid_api_key'],
    ['expires', 'update api_keys set expires_at = 1 where id = $1', '401 invalid_api_key'],
    [
      'belongs to an organisation that is suspended',
      "update orgs set status = 'suspended' where id = (select org_id from api_keys where id = $1)",
      '401 invalid_api_key',
    ],
    ['loses its scopes', "update api_keys set scopes = '{models:read}' where id = $1", '403 permission_denied'],
    [
      'may use other models only',
      "update api_keys set allowed_models = '{gpt-4}' where id = $1",
      '403 permission_denied',
    ],
  ])('is judged anew when it %s', async (_what, statement, expected) => {
    const { apiKey, keyId } = await stack.org()
    expect((await chat(apiKey, ask('Hello'))).status).toBe(200)
    await stack.query(statement, [keyId])
    await forgetRecord(keyId)
    expect(await codeOf(await chat(apiKey, ask('Hello')))).toBe(expected)
  })

  it('obeys a new limit from the next call on', async () => {
    const { apiKey, keyId, orgId } = await stack.org()
    expect((await chat(apiKey, ask('Hello'))).headers.get('x-ratelimit-limit-requests')).toBeNull()
    await stack.query(
      `insert into limits (id, org_id, subject_kind, subject_id, metric, algorithm, window_seconds, amount, created_at, updated_at)
       values ($1, $2, 'key', $3, 'requests', 'token_bucket', 60, 2, 0, 0)`,
      [`lim_${keyId}`, orgId, keyId],
    )
    await forgetRecord(keyId)
    const first = await chat(apiKey, ask('Hello'))
    expect(first.headers.get('x-ratelimit-limit-requests')).toBe('2')
    expect(first.headers.get('x-ratelimit-remaining-requests')).toBe('1')
    expect((await chat(apiKey, ask('Hello'))).status).toBe(200)
    const refused = await chat(apiKey, ask('Hello'))
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(25)
    expect(await codeOf(refused)).toBe('429 rate_limit_exceeded')
  })
})
