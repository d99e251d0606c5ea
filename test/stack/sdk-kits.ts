import OpenAI from 'openai'
import { zodResponseFormat } from 'openai/helpers/zod'
import OpenAIv4 from 'openai-v4'
import { makeParseableResponseFormat } from 'openai-v4/lib/parser'
import * as z from 'zod'
import type { DemoNode } from '../../scripts/local/demo-node/server.ts'
import type { FakeVendor } from '../support/fake-vendor/server.ts'
import type { Stack } from '../support/stack.ts'

type Streaming = OpenAI['chat']['completions']['stream']
type Parsing = OpenAI['chat']['completions']['parse']

/** One line of the official client, with what differs between the lines behind names of our own. */
export type Kit = {
  name: string
  connect(options: { apiKey: string; baseURL: string }): OpenAI
  errors: Pick<
    typeof OpenAI,
    | 'APIError'
    | 'AuthenticationError'
    | 'BadRequestError'
    | 'InternalServerError'
    | 'NotFoundError'
    | 'PermissionDeniedError'
    | 'RateLimitError'
  >
  stream(client: OpenAI, ...args: Parameters<Streaming>): ReturnType<Streaming>
  parse(client: OpenAI, ...args: Parameters<Parsing>): ReturnType<Parsing>
  /** The response format of `{ name: string, founded: number, tags: string[] }`. */
  cityFormat: ReturnType<typeof zodResponseFormat>
}

const City = z.object({ name: z.string(), founded: z.number(), tags: z.array(z.string()) })

const newest: Kit = {
  name: 'openai (newest)',
  connect: (options) => new OpenAI({ ...options, maxRetries: 0 }),
  errors: OpenAI,
  stream: (client, ...args) => client.chat.completions.stream(...args),
  parse: (client, ...args) => client.chat.completions.parse(...args),
  cityFormat: zodResponseFormat(City, 'city'),
}

const clientsOfV4 = new WeakMap<OpenAI, OpenAIv4>()

/** The packages share what is used here method by method, but not one type. */
const across = <T>(value: unknown): T => value as T

function beta(client: OpenAI): OpenAIv4['beta']['chat']['completions'] {
  const known = clientsOfV4.get(client)
  if (!known) throw new Error('not a client of this line')
  return known.beta.chat.completions
}

const fourth: Kit = {
  name: 'openai v4',
  connect(options) {
    const client = new OpenAIv4({ ...options, maxRetries: 0 })
    const shown = across<OpenAI>(client)
    clientsOfV4.set(shown, client)
    return shown
  },
  errors: across<Kit['errors']>(OpenAIv4),
  stream: (client, body, options) =>
    across(beta(client).stream(across<V4Stream[0]>(body), across<V4Stream[1]>(options))),
  parse: (client, body, options) => across(beta(client).parse(across<V4Parse[0]>(body), across<V4Parse[1]>(options))),
  // Its own zod helper knows the schemas of zod 3 only.
  cityFormat: across(
    makeParseableResponseFormat(
      { type: 'json_schema', json_schema: { name: 'city', strict: true, schema: z.toJSONSchema(City) } },
      (content) => City.parse(JSON.parse(content)),
    ),
  ),
}

type V4Completions = OpenAIv4['beta']['chat']['completions']
type V4Stream = Parameters<V4Completions['stream']>
type V4Parse = Parameters<V4Completions['parse']>

export const kits: readonly Kit[] = [newest, fourth]

/** What the scenarios of one line share: a client with a fresh key, and the ends that it talks through to. */
export type World = {
  kit: Kit
  stack: Stack
  vendor: FakeVendor
  node: DemoNode
  /** Of the default organisation. */
  client: OpenAI
  orgId: string
  /** A client for a key of its own. */
  clientOf(apiKey: string): OpenAI
}

export const user = (content: string) => [{ role: 'user' as const, content }]

/** The error that a call must end in. */
export async function failureOf(work: PromiseLike<unknown>): Promise<InstanceType<typeof OpenAI.APIError>> {
  const failure = await Promise.resolve(work).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (failure instanceof Error) return across(failure)
  throw new Error('the call did not fail')
}

/** The vendor's own record of the call that carried this marker. */
export function truthOf(vendor: FakeVendor, marker: string) {
  const row = vendor.truth().findLast((one) => one.marker === marker)
  if (!row) throw new Error(`the vendor was never asked with ${marker}`)
  return row
}

/** Rows of an organisation in the ledger, once there are as many. */
export async function ledgerRows({ stack }: World, orgId: string, count: number): Promise<Record<string, unknown>[]> {
  const deadlineMs = Date.now() + 15_000
  for (;;) {
    const rows = await stack.query('select * from usage_ledger where org_id = $1 order by created_at', [orgId])
    if (rows.length >= count) return rows
    if (Date.now() > deadlineMs) throw new Error(`${rows.length} of ${count} rows in the ledger`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
