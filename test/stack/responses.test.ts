import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Fleet, startFleet } from '../support/fake-vendor/fleet.ts'
import { readResponse } from '../support/response-events.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { openCalls } from './truth-books.ts'

type Response = OpenAI.Responses.Response
type Item = OpenAI.Responses.ResponseInputItem
type Includable = OpenAI.Responses.ResponseIncludable

let stack: Stack
let fleet: Fleet
let apiKey: string
let orgId: string

beforeAll(async () => {
  fleet = await startFleet()
  stack = await startStack({ vars: fleet.vars })
  ;({ apiKey, orgId } = await stack.org())
})

afterAll(async () => {
  await stack?.close()
  await fleet?.close()
})

const clientOf = (key: string) => new OpenAI({ apiKey: key, baseURL: `${stack.url}/v1`, maxRetries: 0 })
const client = () => clientOf(apiKey)
const fake = (script: object) => `fake:${JSON.stringify(script)}`

const parameters = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
}
const tool = (name: string) => ({
  type: 'function' as const,
  name,
  description: `About ${name}`,
  parameters,
  strict: true,
})
const tools = [tool('get_weather'), tool('get_population')]
const callOf = (name: string) => ({ name, input: { city: 'Paris "é"' } })

const targets = [
  { upstream: 'a vendor of OpenAI’s wire', model: 'openai/gpt-4o', hello: 'Tell me something', asking: 'fault:tools' },
  {
    upstream: 'a vendor of Anthropic’s wire',
    model: 'anthropic/claude-sonnet-4-6',
    hello: fake({ text: 'Hello "there" 👋.' }),
    asking: fake({ text: 'Let me look.', calls: [callOf('get_weather'), callOf('get_population')] }),
  },
  {
    upstream: 'a node',
    model: 'llama3.2:3b',
    hello: 'Tell me something',
    asking: 'Get the weather and the population of "Paris" please',
  },
]

const callsIn = ({ output }: Response) => output.flatMap((item) => (item.type === 'function_call' ? [item] : []))
const resultsOf = (response: Response): Item[] =>
  callsIn(response).map(({ call_id }) => ({ type: 'function_call_output', call_id, output: 'Fine.' }))

/** The response that a streamed call comes to, as the client's helper puts it together. */
const streamed = (body: { model: string; input: string | Item[]; store?: boolean; include?: Includable[] }) =>
  client().responses.stream(body).finalResponse()

async function failureOf(work: PromiseLike<unknown>): Promise<InstanceType<typeof OpenAI.APIError>> {
  const failure: unknown = await Promise.resolve(work).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (failure instanceof OpenAI.APIError) return failure
  throw new Error(`not an error of the client: ${failure}`)
}

// First, while nothing of other calls is on its way to the stores.
describe('a warm call', () => {
  it.each([
    ['kept nowhere', { store: false }, 0],
    ['stored', {}, 1],
  ])(
    'that is %s costs one Redis request and nothing of Postgres before its vendor',
    // A store that is slow for once is asked again: noise adds requests, it never takes one away.
    { retry: 3 },
    async (_how, fields, statements) => {
      const { apiKey: key, orgId: own } = await stack.org({ budgetUsd: 1000 })
      const ask = (input: string) => stack.call(key, '/v1/responses', { model: 'gpt-4o', input, ...fields })
      await (await ask('Warm up')).text()
      const rows = () => stack.query('select 1 from usage_ledger where org_id = $1', [own])
      await expect.poll(rows, { timeout: 10_000 }).toHaveLength(1)
      // The end of the first call's batch: what comes from here on is the second's.
      await expect.poll(() => openCalls(own), { timeout: 5000 }).toEqual([])
      const costs = () => ({
        redis: stack.redis.requests(),
        postgres: stack.postgres.requests(),
        vendor: fleet.openai.requests(),
      })
      const before = costs()
      const answering = ask('fault:delay=1000')
      await expect.poll(() => fleet.openai.requests(), { timeout: 5000, interval: 5 }).toBe(before.vendor + 1)
      const asked = costs()
      expect([asked.redis - before.redis, asked.postgres - before.postgres]).toEqual([1, 0])
      await (await answering).text()
      // One for the row of the response, if there is one, and one for the batch of the ledger.
      await expect.poll(rows, { timeout: 10_000 }).toHaveLength(2)
      expect(costs().postgres - before.postgres).toBe(statements + 1)
    },
  )
})

describe.each(targets)('the official client over $upstream', ({ model, hello, asking }) => {
  it('creates a response, which can be asked for at once', async () => {
    const { responses } = client()
    const response = await responses.create({ model, input: hello, metadata: { of: 'a test' } })
    expect(response).toMatchObject({ object: 'response', status: 'completed', metadata: { of: 'a test' }, store: true })
    expect(response.id).toMatch(/^resp_/)
    expect(response.output_text).not.toBe('')
    expect(response.usage?.input_tokens).toBeGreaterThan(0)
    expect(response.usage?.output_tokens).toBeGreaterThan(0)
    expect(await responses.retrieve(response.id)).toEqual(response)
  })

  it('streams one, which the helper puts together', async () => {
    const { responses } = client()
    const pieces: string[] = []
    const stream = responses.stream({ model, input: hello })
    stream.on('response.output_text.delta', ({ delta }) => pieces.push(delta))
    const response = await stream.finalResponse()
    expect(pieces.join('')).toBe(response.output_text)
    expect(response.output_text).not.toBe('')
    expect((await responses.retrieve(response.id)).output_text).toBe(response.output_text)
  })

  it.each(['whole', 'streamed'])('uses tools (%s), and goes on with what is stored', async (form) => {
    const body = { model, input: asking, tools }
    const { responses } = client()
    const asked = form === 'whole' ? await responses.create(body) : await streamed(body)
    expect(
      callsIn(asked)
        .map(({ name }) => name)
        .sort(),
    ).toEqual(['get_population', 'get_weather'])
    for (const call of callsIn(asked)) expect(JSON.parse(call.arguments)).toEqual({ city: expect.any(String) })
    const answered = await responses.create({ ...body, input: resultsOf(asked), previous_response_id: asked.id })
    expect(answered).toMatchObject({ status: 'completed', previous_response_id: asked.id })
  })

  it('uses tools where its caller keeps the conversation', async () => {
    const { responses } = client()
    const body = { model, tools, store: false }
    const asked = await responses.create({ ...body, input: asking })
    expect(await failureOf(responses.retrieve(asked.id))).toBeInstanceOf(OpenAI.NotFoundError)
    const history: Item[] = [{ role: 'user', content: asking }, ...asked.output.map(asInput), ...resultsOf(asked)]
    expect(await responses.create({ ...body, input: history })).toMatchObject({ status: 'completed' })
  })
})

/** Output items are input items, but for what only hosted tools have. */
const asInput = (item: OpenAI.Responses.ResponseOutputItem) => item as Item

describe('a stored conversation', () => {
  it('is gone on with over several steps and across vendors', async () => {
    const { responses } = client()
    const first = await responses.create({
      model: 'openai/gpt-4o',
      input: 'fault:tools',
      tools,
      instructions: 'Be brief.',
    })
    const second = await responses.create({
      model: 'anthropic/claude-sonnet-4-6',
      previous_response_id: first.id,
      input: resultsOf(first),
      tools,
    })
    expect(second.output_text).toBe('2 results')
    await responses.create({
      model: 'anthropic/claude-sonnet-4-6',
      previous_response_id: second.id,
      input: [{ role: 'user', content: 'And now?' }],
      instructions: 'Be long.',
    })
    expect(fleet.claude.lastBody()).toMatchObject({
      system: 'Be long.',
      messages: [
        { role: 'user', content: [{ text: 'fault:tools' }] },
        { role: 'assistant' },
        { role: 'user', content: [{ type: 'tool_result' }, { type: 'tool_result' }] },
        { role: 'assistant', content: [{ text: '2 results' }] },
        { role: 'user', content: [{ text: 'And now?' }] },
      ],
    })
  })

  it('lists what a response was asked with, page by page', async () => {
    const { responses } = client()
    const said = ['One', 'Two', 'Three']
    const input: Item[] = said.map((content) => ({ role: 'user', content }))
    const { id } = await responses.create({ model: 'openai/gpt-4o', input })
    const listed: unknown[] = []
    for await (const item of responses.inputItems.list(id, { limit: 2, order: 'asc' })) listed.push(item)
    expect(listed).toMatchObject(
      said.map((text) => ({ type: 'message', role: 'user', content: [{ type: 'input_text', text }] })),
    )
    const newest = await responses.inputItems.list(id, { limit: 1 })
    expect(newest).toMatchObject({ data: [{ content: [{ text: 'Three' }] }], has_more: true })
  })

  it('takes items by their names', async () => {
    const { responses } = client()
    const first = await responses.create({ model: 'openai/gpt-4o', input: 'Tell me something' })
    const [said] = first.output
    const input: Item[] = [
      { type: 'item_reference', id: said?.id ?? '' },
      { role: 'user', content: 'fault:tools' },
    ]
    const second = await responses.create({ model: 'openai/gpt-4o', input, tools })
    const listed = await responses.inputItems.list(second.id, { order: 'asc' })
    expect(listed.data[0]).toMatchObject({ id: said?.id, type: 'message', role: 'assistant' })
    const unknown = responses.create({
      model: 'openai/gpt-4o',
      input: [{ type: 'item_reference', id: `${said?.id}9` }],
    })
    expect(await failureOf(unknown)).toMatchObject({ status: 400, param: 'input[0].id' })
  })

  it('is gone when it is deleted, and what went on with it cannot be gone on with', async () => {
    const { responses } = client()
    const first = await responses.create({ model: 'openai/gpt-4o', input: 'One' })
    const second = await responses.create({ model: 'openai/gpt-4o', input: 'Two', previous_response_id: first.id })
    await responses.delete(first.id)
    expect(await failureOf(responses.retrieve(first.id))).toBeInstanceOf(OpenAI.NotFoundError)
    expect(await failureOf(responses.delete(first.id))).toBeInstanceOf(OpenAI.NotFoundError)
    const third = responses.create({ model: 'openai/gpt-4o', input: 'Three', previous_response_id: second.id })
    expect(await failureOf(third)).toMatchObject({ status: 400, code: 'previous_response_not_found' })
    expect(await stack.query('select id from responses where id = $1', [first.id])).toEqual([])
  })

  it('is refused where it is too long to go on with', async () => {
    const own = await stack.org()
    const id = (number: string) => `'resp_' || $1 || '_' || (${number})`
    await stack.query(
      `insert into responses (id, org_id, key_id, model, status, previous_response_id, input, output, dek_version,
         expires_at, created_at)
       select ${id('n')}, $1, 'key', 'm', 'completed', case when n > 0 then ${id('n - 1')} end, '', '', 1, 99999999999, 0
       from generate_series(0, 1000) n`,
      [own.orgId],
    )
    const onwards = (last: number) =>
      clientOf(own.apiKey).responses.create({
        model: 'openai/gpt-4o',
        input: 'Hi',
        previous_response_id: `resp_${own.orgId}_${last}`,
      })
    expect(await failureOf(onwards(1000))).toMatchObject({ status: 400, code: 'invalid_request' })
    // Short enough, but what was planted opens with no key.
    expect(await failureOf(onwards(999))).toMatchObject({ status: 400, code: 'previous_response_not_found' })
  })

  it('is nobody’s in another organisation', async () => {
    const { id } = await client().responses.create({ model: 'openai/gpt-4o', input: 'Mine' })
    const { responses } = clientOf((await stack.org()).apiKey)
    expect(await failureOf(responses.retrieve(id))).toBeInstanceOf(OpenAI.NotFoundError)
    expect(await failureOf(responses.inputItems.list(id))).toBeInstanceOf(OpenAI.NotFoundError)
    expect(await failureOf(responses.delete(id))).toBeInstanceOf(OpenAI.NotFoundError)
    const onwards = responses.create({ model: 'openai/gpt-4o', input: 'Yours', previous_response_id: id })
    expect(await failureOf(onwards)).toMatchObject({
      status: 400,
      code: 'previous_response_not_found',
      param: 'previous_response_id',
    })
  })

  it('is stored sealed, and ends after its time', async () => {
    const { responses } = client()
    const word = `word${crypto.randomUUID()}`
    const { id } = await responses.create({ model: 'openai/gpt-4o', input: word, instructions: word })
    const rows = () => stack.query('select * from responses where id = $1', [id])
    const [row] = await rows()
    expect(JSON.stringify(row)).not.toContain(word)
    expect(row).toMatchObject({ org_id: orgId, status: 'completed', model: 'gpt-4o' })
    expect(Number(row?.expires_at) - Number(row?.created_at)).toBe(30 * 86_400)
    await stack.query('update responses set expires_at = created_at - 1 where id = $1', [id])
    expect(await failureOf(responses.retrieve(id))).toBeInstanceOf(OpenAI.NotFoundError)
    await stack.tick(Date.UTC(2019, 5, 16, 4, 30))
    expect(await rows()).toEqual([])
  })
})

describe('thoughts', () => {
  const model = 'anthropic/claude-sonnet-4-6'
  const question = fake({ think: 'Hm. "é"', redact: true, calls: [callOf('get_weather')] })
  const body = { model, tools, reasoning: { effort: 'low' as const } }

  it('go back to their vendor as they were signed, from the store', async () => {
    const asked = await streamed({ ...body, input: question })
    expect(asked.output.map(({ type }) => type)).toEqual(['reasoning', 'function_call'])
    expect(asked.output[0]).toMatchObject({ summary: [{ text: 'Hm. "é"' }] })
    const { responses } = client()
    const answered = await responses.create({ ...body, input: resultsOf(asked), previous_response_id: asked.id })
    // The fake refuses a turn without its thoughts, so that it answered is the proof.
    expect(answered.output_text).toBe('1 results')
    const echoed: Item[] = [{ role: 'user', content: question }, ...asked.output.map(asInput), ...resultsOf(asked)]
    expect((await responses.create({ ...body, input: echoed })).output_text).toBe('1 results')
  })

  it.each(['stored', 'kept by the caller'])(
    'are signed in Gemini’s calls, too, over a loop of steps (%s)',
    async (how) => {
      const store = how === 'stored'
      const { responses } = client()
      const body = { model: 'gemini/gemini-3-flash-preview', tools, store }
      const first: Item[] = [{ role: 'user', content: 'fake:loop=3,parallel=2,think' }]
      let response: Response = await streamed({ ...body, input: first })
      let history: Item[] = first
      for (let step = 1; step <= 3; step++) {
        expect(callsIn(response)).toHaveLength(2)
        history = [...history, ...response.output.map(asInput), ...resultsOf(response)]
        // The fake refuses calls that are not signed as they stand.
        response = await responses.create(
          store
            ? { ...body, input: resultsOf(response), previous_response_id: response.id }
            : { ...body, input: history },
        )
      }
      expect(response.output_text).not.toBe('')
    },
  )

  it('travel sealed with a caller who keeps the conversation', async () => {
    const { responses } = client()
    const kept = { ...body, store: false, include: ['reasoning.encrypted_content' as const] }
    const asked = await streamed({ ...kept, input: question })
    const [thought] = asked.output
    if (thought?.type !== 'reasoning') throw new Error('no thought')
    expect(thought.encrypted_content).toMatch(/^v1\./)
    const history = (item: object): Item[] => [
      { role: 'user', content: question },
      // Some clients forget the ids of what they keep.
      { ...thought, id: '', ...item },
      ...callsIn(asked),
      ...resultsOf(asked),
    ]
    const answered = await responses.create({ ...kept, input: history({}) })
    expect(answered.output_text).toBe('1 results')
    const forged = `${thought.encrypted_content?.slice(0, -4)}AAAA`
    expect(await failureOf(responses.create({ ...kept, input: history({ encrypted_content: forged }) }))).toMatchObject(
      {
        status: 400,
        code: 'invalid_encrypted_content',
        param: 'input[1].encrypted_content',
      },
    )
    const { responses: theirs } = clientOf((await stack.org()).apiKey)
    expect((await failureOf(theirs.create({ ...kept, input: history({}) }))).code).toBe('invalid_encrypted_content')
  })
})

describe('a call of the Responses interface', () => {
  it('keeps the grammar of its events to a failure in the middle', async () => {
    const input = fake({ text: 'Hello there.', late: 'overloaded_error' })
    const response = await stack.call(apiKey, '/v1/responses', {
      model: 'anthropic/claude-opus-4-5',
      input,
      stream: true,
    })
    const stream = readResponse(await response.text())
    expect(stream).toMatchObject({ end: 'failed', final: { error: { code: 'server_error' }, store: true } })
    const again = await stack.call(apiKey, `/v1/responses/${stream.final.id}`)
    expect(await again.json()).toEqual(stream.final)
  })

  it('gets the errors that its client knows', async () => {
    const { responses } = client()
    const ask = (fields: object) => responses.create({ model: 'gpt-4o', input: 'Hi', ...fields })
    expect(await failureOf(ask({ background: true }))).toMatchObject({ status: 400, param: 'background' })
    const hosted = ask({ tools: [...tools, { type: 'web_search' }] })
    expect(await failureOf(hosted)).toMatchObject({ status: 400, param: 'tools[2].type' })
    expect(await failureOf(ask({ input: [] }))).toMatchObject({ status: 400, param: 'input' })
    expect(await failureOf(ask({ model: 'no-such-model' }))).toBeInstanceOf(OpenAI.NotFoundError)
    const nul = ask({ previous_response_id: 'resp_\u0000' })
    expect(await failureOf(nul)).toMatchObject({ status: 400, code: 'previous_response_not_found' })
    const stranger = clientOf('hx_live_nothing').responses.create({ model: 'gpt-4o', input: 'Hi' })
    expect(await failureOf(stranger)).toBeInstanceOf(OpenAI.AuthenticationError)
  })

  it('is in the books and in the log of requests, and held to the budget of its caller', async () => {
    const { data, response } = await client()
      .responses.create({ model: 'openai/gpt-4o', input: 'Tell me something' })
      .withResponse()
    const requestId = response.headers.get('x-request-id')
    const rows = () => stack.query('select * from usage_ledger where request_id = $1', [requestId])
    await expect.poll(rows, { timeout: 10_000 }).toHaveLength(1)
    expect((await rows())[0]).toMatchObject({
      org_id: orgId,
      operation: 'chat',
      status: 'ok',
      prompt_tokens: String(data.usage?.input_tokens),
      completion_tokens: String(data.usage?.output_tokens),
    })
    const logged = await stack.query('select path, status_code from request_log where request_id = $1', [requestId])
    expect(logged).toMatchObject([{ path: '/v1/responses', status_code: 200 }])
    const poor = clientOf((await stack.org({ budgetUsd: 0.000_001 })).apiKey)
    expect(await failureOf(poor.responses.create({ model: 'openai/gpt-4o', input: 'Hi' }))).toMatchObject({
      status: 429,
      type: 'insufficient_quota',
    })
  })

  it('is answered while Postgres is away, and says that it is not stored', { timeout: 60_000 }, async () => {
    const { apiKey: key } = await stack.org()
    const ask = () => stack.call(key, '/v1/responses', { model: 'gpt-4o', input: 'Hi', stream: true })
    const first = readResponse(await (await ask()).text())
    stack.postgres.mode('refuse')
    try {
      expect(readResponse(await (await ask()).text())).toMatchObject({ end: 'completed', final: { store: false } })
      const onwards = { model: 'gpt-4o', input: 'Hi', previous_response_id: first.final.id }
      const refused = await stack.call(key, '/v1/responses', onwards)
      expect([refused.status, await refused.json()]).toMatchObject([503, { error: { code: 'dependency_unavailable' } }])
    } finally {
      stack.postgres.mode('pass')
    }
  })
})
