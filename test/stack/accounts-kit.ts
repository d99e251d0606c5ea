import { expect, vi } from 'vitest'
import * as z from 'zod'
import { type FakeVendor, startFakeVendor } from '../support/fake-vendor/server.ts'
import { keyOf } from '../support/people.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { type Answer, callApi } from './members-kit.ts'

/** A stack with one vendor of the installation's, and two that organisations may have accounts with. */
export type AccountStack = {
  stack: Stack
  shared: FakeVendor
  mine: FakeVendor
  theirs: FakeVendor
  close(): Promise<void>
}

export async function startAccountStack(): Promise<AccountStack> {
  const [shared, mine, theirs] = await Promise.all([startFakeVendor(), startFakeVendor(), startFakeVendor()])
  const stack = await startStack({
    vars: {
      OPENAI_API_KEY: 'sk-fake-of-the-installation',
      OPENAI_BASE_URL: shared.url,
      OUTBOUND_TEST_ORIGINS: [mine, theirs].map(({ url }) => new URL(url).origin).join(','),
    },
  })
  return {
    stack,
    shared,
    mine,
    theirs,
    close: async () => {
      await stack.close()
      await Promise.all([shared.close(), mine.close(), theirs.close()])
    },
  }
}

export const goodKey = (word: string) => `sk-fake-${word}-0123456789`
export const badKey = (word: string) => `sk-wrong-${word}-0123456789`

export type Team = {
  orgId: string
  apiKey: string
  api(route: string, body?: unknown): Promise<Answer>
  chat(model: string, words?: string, more?: object): Promise<Response>
}

/** An organisation with a key that may do everything. */
export async function team(stack: Stack): Promise<Team> {
  const { orgId } = await stack.org()
  const { apiKey } = await keyOf(stack, { orgId })
  return {
    orgId,
    apiKey,
    api: (route, body) => callApi(stack, apiKey, { route, body }),
    chat: (model, words = 'Hello', more = {}) =>
      stack.call(apiKey, '/v1/chat/completions', { model, messages: [{ role: 'user', content: words }], ...more }),
  }
}

const Id = z.object({ id: z.string() })

export async function addProvider(
  { api }: Team,
  { url }: FakeVendor,
  { keys = [], ...given }: { keys?: readonly string[] } & Record<string, unknown> = {},
): Promise<string> {
  const made = await api('POST /providers', { name: 'own', kind: 'openai_compatible', base_url: url, ...given })
  expect(made).toMatchObject({ status: 201 })
  const { id } = Id.parse(made.body)
  for (const [at, key] of keys.entries()) await addCredential({ api }, id, { label: `key ${at}`, key })
  return id
}

export async function addCredential(
  { api }: Pick<Team, 'api'>,
  providerId: string,
  body: { label: string; key: string },
): Promise<string> {
  const added = await api(`POST /providers/${providerId}/credentials`, body)
  expect(added).toMatchObject({ status: 201 })
  return Id.parse(added.body).id
}

/** The one row of a call, once the ledger has written it. */
export const ledgerRowOf = ({ query }: Stack, response: Response): Promise<Record<string, unknown>> =>
  vi.waitFor(
    async () => {
      const rows = await query('select * from usage_ledger where request_id = $1', [
        response.headers.get('x-request-id'),
      ])
      const [row] = rows
      if (!row) throw new Error('not booked yet')
      return row
    },
    { timeout: 15_000, interval: 100 },
  )
