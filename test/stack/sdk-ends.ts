import type OpenAI from 'openai'
import { expect, it } from 'vitest'
import { createKey } from '../../src/features/keys/format.ts'
import { full } from '../support/lane.ts'
import { failureOf, ledgerRows, truthOf, user, type World } from './sdk-kits.ts'

/** How fast a hang-up must reach the vendor. */
const ABORT_MS = 100

/** Waits for a condition turn by turn: the time of the turn is what is measured. */
async function until(isTrue: () => boolean): Promise<number> {
  const deadlineMs = performance.now() + 20_000
  while (!isTrue()) {
    if (performance.now() > deadlineMs) throw new Error('it never became true')
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  return performance.now()
}

/** A machine that is busy with other work may take its time once, not three times. */
async function quickest(measure: () => Promise<number>): Promise<number> {
  let bestMs = await measure()
  for (let again = 0; again < 2 && bestMs >= ABORT_MS; again++) bestMs = Math.min(bestMs, await measure())
  return bestMs
}

/** Streams until so many pieces have come, and hangs up; when that was. */
async function leaveAfter(
  client: OpenAI,
  pieces: number,
  body: Pick<OpenAI.Chat.ChatCompletionCreateParamsStreaming, 'messages'> & { model?: string; user?: string },
): Promise<number> {
  const controller = new AbortController()
  const asked = { model: 'openai/gpt-4o', ...body, stream: true as const }
  const stream = await client.chat.completions.create(asked, { signal: controller.signal })
  let came = 0
  let leftMs = 0
  for await (const chunk of stream) {
    came += chunk.choices[0]?.delta.content ? 1 : 0
    if (came < pieces || leftMs > 0) continue
    leftMs = performance.now()
    controller.abort()
  }
  return leftMs
}

/** Every way in which a call ends otherwise than well, as the client's own errors. */
export function endScenarios(world: () => World): void {
  /** Breakers belong to a model: every failing scenario has its own. */
  const failing = (name: string) => `openai/${name}-${world().kit.name.replaceAll(/\W/g, '')}`

  it('takes a hang-up to the vendor at once, and books what was delivered', async () => {
    const { client, vendor, orgId, kit } = { ...world(), ...(await fresh()) }
    let tries = 0
    const marker = () => `leaver ${kit.name} ${tries}`
    const tookMs = await quickest(async () => {
      tries += 1
      const leftMs = await leaveAfter(client, 5, { messages: user('fault:slow=20,pieces=400'), user: marker() })
      return (await until(() => truthOf(vendor, marker()).clientLeft)) - leftMs
    })
    expect(tookMs).toBeLessThan(ABORT_MS)
    const row = (await ledgerRows(world(), orgId, tries)).at(-1)
    const { prompt, completion } = truthOf(vendor, marker())
    expect(row).toMatchObject({ status: 'aborted', estimated: true, stream: true, error_code: null })
    expect(Math.abs(Number(row?.completion_tokens) - completion)).toBeLessThanOrEqual(2)
    expect(Math.abs(Number(row?.prompt_tokens) - prompt)).toBeLessThanOrEqual(5)
  })

  // workerd looks at a caller's connection when it writes, which is after ten seconds of silence; the edge looks sooner.
  it.runIf(full())('takes a hang-up before the first byte to the vendor with the first comment', async () => {
    const { client, vendor, orgId, kit } = { ...world(), ...(await fresh()) }
    const marker = `early leaver ${kit.name}`
    const controller = new AbortController()
    const body = { model: 'openai/gpt-4o', messages: user('fault:hang'), stream: true as const, user: marker }
    const failure = failureOf(client.chat.completions.create(body, { signal: controller.signal }))
    await until(() => vendor.truth().some((row) => row.marker === marker))
    controller.abort()
    await failure
    await until(() => truthOf(vendor, marker).clientLeft)
    expect((await ledgerRows(world(), orgId, 1))[0]).toMatchObject({ status: 'aborted', completion_tokens: '0' })
  })

  it('takes a hang-up to a node', async () => {
    const { client, node } = world()
    const tookMs = await quickest(async () => {
      const before = node.abortedGenerations()
      const leftMs = await leaveAfter(client, 1, { model: 'slow:1b', messages: user('count to 500') })
      return (await until(() => node.abortedGenerations() > before)) - leftMs
    })
    expect(tookMs).toBeLessThan(ABORT_MS)
  })

  it('listens on to the end for a caller who wants the exact count', async () => {
    const { client, vendor, orgId, kit } = { ...world(), ...(await fresh()) }
    const marker = `drainer ${kit.name}`
    const controller = new AbortController()
    const body = {
      model: 'openai/gpt-4o',
      messages: user('fault:slow=10,pieces=60'),
      stream: true as const,
      user: marker,
      helix: { on_disconnect: 'drain' },
    }
    const stream = await client.chat.completions.create(body, { signal: controller.signal })
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content) controller.abort()
    await until(() => truthOf(vendor, marker).finished)
    const { prompt, completion, clientLeft } = truthOf(vendor, marker)
    expect({ completion, clientLeft }).toEqual({ completion: 60, clientLeft: false })
    const [row] = await ledgerRows(world(), orgId, 1)
    expect(row).toMatchObject({ status: 'aborted', estimated: false })
    expect([Number(row?.prompt_tokens), Number(row?.completion_tokens)]).toEqual([prompt, completion])
  })

  it.each([
    ['no key of ours', 'sk-not-ours'],
    ['a key with a typing error', `${createKey('live').slice(0, -1)}!`],
    ['a key that nobody has', createKey('live')],
  ])('refuses %s as an authentication error', async (_name, apiKey) => {
    const { clientOf, kit } = world()
    const failure = await failureOf(clientOf(apiKey).chat.completions.create({ model: 'gpt-4o', messages: user('Hi') }))
    expect(failure).toBeInstanceOf(kit.errors.AuthenticationError)
    expect(failure).toMatchObject({ status: 401, code: 'invalid_api_key' })
  })

  it('refuses a model that nobody has', async () => {
    const { client, kit } = world()
    const failure = await failureOf(client.chat.completions.create({ model: 'no-model-at-all', messages: user('Hi') }))
    expect(failure).toBeInstanceOf(kit.errors.NotFoundError)
    expect(failure).toMatchObject({ status: 404, code: 'model_not_found', param: 'model' })
  })

  it('passes on that the vendor has no such model', async () => {
    const { client, kit } = world()
    const failure = await failureOf(client.chat.completions.create({ model: 'openai/no-such-x', messages: user('Hi') }))
    expect(failure).toBeInstanceOf(kit.errors.NotFoundError)
    expect(failure).toMatchObject({ status: 404, code: 'model_not_found' })
  })

  it.each([
    ['temperature', { temperature: 3 }],
    ['messages[0].role', { messages: [{ role: 'nobody', content: 'Hi' }] }],
    ['n', { n: 0 }],
    ['helix.unknown', { helix: { unknown: 1 } }],
  ])('names the field %s that is wrong', async (param, wrong) => {
    const { client, kit } = world()
    const body = { model: 'gpt-4o', messages: user('Hi'), ...wrong }
    const failure = await failureOf(client.post('/chat/completions', { body }))
    expect(failure).toBeInstanceOf(kit.errors.BadRequestError)
    expect(failure).toMatchObject({ status: 400, param, type: 'invalid_request_error' })
  })

  it('passes on what the vendor finds wrong with the request', async () => {
    const { client, kit } = world()
    const messages = [{ role: 'tool' as const, tool_call_id: 'call_none', content: 'x' }]
    const failure = await failureOf(client.chat.completions.create({ model: 'gpt-4o', messages }))
    expect(failure).toBeInstanceOf(kit.errors.BadRequestError)
    expect(failure).toMatchObject({ status: 400, param: 'messages[0].role' })
  })

  it('refuses a model that the key may not use', async () => {
    const { kit } = world()
    const { client } = await fresh({ allowedModels: ['llama3.2:3b'] })
    const failure = await failureOf(client.chat.completions.create({ model: 'gpt-4o', messages: user('Hi') }))
    expect(failure).toBeInstanceOf(kit.errors.PermissionDeniedError)
  })

  it('says when a caller who was too fast may come again', async () => {
    const { kit } = world()
    const { client } = await fresh({ requestsPerMinute: 1, burst: 1 })
    const { response } = await client.chat.completions.create({ model: 'gpt-4o', messages: user('Hi') }).withResponse()
    expect(response.headers.get('x-ratelimit-limit-requests')).toBe('1')
    expect(response.headers.get('x-ratelimit-remaining-requests')).toBe('0')
    const failure = await failureOf(client.chat.completions.create({ model: 'gpt-4o', messages: user('Hi') }))
    expect(failure).toBeInstanceOf(kit.errors.RateLimitError)
    expect(failure).toMatchObject({ status: 429, code: 'rate_limit_exceeded' })
    const wait = Number(new Headers(failure.headers).get('retry-after'))
    expect(wait).toBeGreaterThan(50)
    expect(wait).toBeLessThanOrEqual(60)
  })

  it('passes on that the vendor has no capacity left, and for how long', async () => {
    const { client, kit } = world()
    const body = { model: failing('limited'), messages: user('fault:status=429,retry-after=7') }
    const failure = await failureOf(client.chat.completions.create(body))
    expect(failure).toBeInstanceOf(kit.errors.RateLimitError)
    expect(new Headers(failure.headers).get('retry-after')).toBe('7')
  })

  it.each(['status=500', 'status=502', 'html200', 'empty200', 'cut=3', 'reset'])(
    'turns a vendor that fails with %s into a server error',
    async (fault) => {
      const { client, kit } = world()
      const model = failing(fault.replace('=', ''))
      const failure = await failureOf(client.chat.completions.create({ model, messages: user(`fault:${fault}`) }))
      expect(failure).toBeInstanceOf(kit.errors.InternalServerError)
      expect(failure.status).toBe(502)
    },
  )

  it.each(['errorevent=3', 'cut=3', 'eof=3', 'malformed=3'])('throws in the middle of a stream: %s', async (fault) => {
    const { client, kit, vendor } = world()
    const model = failing(fault.replace('=', ''))
    const marker = `${fault} ${kit.name}`
    const body = { model, messages: user(`fault:${fault}`), stream: true as const, user: marker }
    let text = ''
    const reading = (async () => {
      for await (const { choices } of await client.chat.completions.create(body))
        text += choices[0]?.delta.content ?? ''
    })()
    const failure = await failureOf(reading)
    expect(failure).toBeInstanceOf(kit.errors.APIError)
    expect(failure).toMatchObject({ type: 'upstream_error', code: 'provider_error' })
    expect(text).toBe(truthOf(vendor, marker).text)
  })

  it('falls back to another model, and says so', async () => {
    const { client } = world()
    const body = {
      model: failing('fallback'),
      messages: user('fault:status=500 say exactly: from the node'),
      helix: { fallback_models: ['llama3.2:3b'] },
    }
    const { data, response } = await client.chat.completions.create(body).withResponse()
    expect(data.choices[0]?.message.content).toBe('[demo node] from the node')
    expect(response.headers.get('x-helix-provider')).toBe('ollama')
    expect(Number(response.headers.get('x-helix-attempts'))).toBeGreaterThan(1)
    expect(response.headers.get('openai-version')).toBeNull()
  })

  it('asks the one provider that was named, and no other', async () => {
    const { client, kit } = world()
    const body = { model: 'gpt-4o', messages: user('Hi'), helix: { provider: 'ollama' } }
    expect(await failureOf(client.chat.completions.create(body))).toBeInstanceOf(kit.errors.NotFoundError)
    const served = { ...body, model: 'llama3.2:3b' }
    const { response } = await client.chat.completions.create(served).withResponse()
    expect(response.headers.get('x-helix-provider')).toBe('ollama')
  })

  it('reports what a node ignores, or refuses it where nothing may be lost', async () => {
    const { client, kit, node } = world()
    const body = { model: 'llama3.2:3b', messages: user('Hi'), logit_bias: { '1': 1 }, 'ünknown\n': 1 }
    const { response } = await client.chat.completions.create(body).withResponse()
    expect(response.headers.get('x-helix-ignored-params')).toBe('logit_bias,%C3%BCnknown%0A')
    const before = node.requests()
    const failure = await failureOf(client.chat.completions.create({ ...body, ...{ helix: { strict: true } } }))
    expect(failure).toBeInstanceOf(kit.errors.BadRequestError)
    expect(failure).toMatchObject({ param: 'logit_bias' })
    expect(node.requests()).toBe(before)
  })

  async function fresh(options: Parameters<World['stack']['org']>[0] = {}) {
    const { stack, clientOf } = world()
    const { apiKey, orgId } = await stack.org(options)
    return { client: clientOf(apiKey), orgId }
  }
}
