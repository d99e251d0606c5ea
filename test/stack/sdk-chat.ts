import { expect, it } from 'vitest'
import { recordedStreams } from '../support/streams.ts'
import { truthOf, user, type World } from './sdk-kits.ts'

const model = 'openai/gpt-4o'

/** Chat, whole and streamed, against the vendor. */
export function chatScenarios(world: () => World): void {
  const marked = (marker: string, content = 'Tell me something') => ({
    model,
    messages: user(content),
    metadata: { marker },
  })

  it('completes a chat with what the vendor wrote', async () => {
    const { client, vendor } = world()
    const answer = await client.chat.completions.create(marked('whole'))
    const truth = truthOf(vendor, 'whole')
    expect(answer.choices[0]?.message).toMatchObject({ role: 'assistant', content: truth.text })
    expect(answer.choices[0]?.finish_reason).toBe('stop')
    expect(answer.usage).toMatchObject({ prompt_tokens: truth.prompt, completion_tokens: truth.completion })
    expect(answer).toMatchObject({ object: 'chat.completion', system_fingerprint: expect.stringMatching(/^fp_/) })
  })

  it('tells its request id where the client looks for it', async () => {
    const { client } = world()
    const { data, response, request_id } = await client.chat.completions.create(marked('ids')).withResponse()
    expect(request_id).toMatch(/^req_/)
    expect(data).toHaveProperty('_request_id', request_id)
    expect(response.headers.get('x-request-id')).toBe(request_id)
    expect(response.headers.get('x-helix-provider')).toBe('openai')
    expect(response.headers.get('x-helix-model')).toBe('gpt-4o')
    expect(response.headers.get('x-helix-attempts')).toBe('1')
    expect(Number(response.headers.get('x-helix-cost-usd'))).toBeGreaterThan(0)
  })

  it.each([
    ['plainly', 'Tell me something'],
    ['with CRLF and comments', 'fault:crlf,comments'],
    ['byte by byte', 'fault:bytesplit,pieces=8'],
  ])('streams a chat %s', async (manner, content) => {
    const { client, vendor } = world()
    const marker = `stream ${manner}`
    const stream = await client.chat.completions.create({ ...marked(marker, content), stream: true })
    const chunks = []
    for await (const chunk of stream) chunks.push(chunk)
    const deltas = chunks.flatMap(({ choices }) => choices)
    expect(deltas.map(({ delta }) => delta.content ?? '').join('')).toBe(truthOf(vendor, marker).text)
    expect(new Set(chunks.map(({ id, created, model }) => `${id} ${created} ${model}`)).size).toBe(1)
    expect(deltas.flatMap(({ finish_reason }) => (finish_reason ? [finish_reason] : []))).toEqual(['stop'])
    expect(deltas[0]?.delta.role).toBe('assistant')
    expect(chunks.some(({ usage }) => usage)).toBe(false)
    expect(chunks.every(({ choices }) => choices.length === 1)).toBe(true)
  })

  it('streams the usage to a client that asks for it', async () => {
    const { client, vendor } = world()
    const stream = await client.chat.completions.create({
      ...marked('usage'),
      stream: true,
      stream_options: { include_usage: true },
    })
    const chunks = []
    for await (const chunk of stream) chunks.push(chunk)
    const last = chunks.at(-1)
    const { prompt, completion } = truthOf(vendor, 'usage')
    expect(last).toMatchObject({ choices: [], usage: { prompt_tokens: prompt, completion_tokens: completion } })
    expect(chunks.slice(0, -1).every(({ usage }) => !usage)).toBe(true)
  })

  it('feeds the stream helper, which puts the answer together', async () => {
    const { client, kit, vendor } = world()
    const runner = kit.stream(client, { ...marked('helper'), stream_options: { include_usage: true } })
    const pieces: string[] = []
    runner.on('content', (piece) => pieces.push(piece))
    const answer = await runner.finalChatCompletion()
    const truth = truthOf(vendor, 'helper')
    expect(pieces.join('')).toBe(truth.text)
    expect(answer.choices[0]?.message.content).toBe(truth.text)
    expect(await runner.finalContent()).toBe(truth.text)
    expect((await runner.totalUsage()).completion_tokens).toBe(truth.completion)
  })

  it('gives several choices, whole and streamed', async () => {
    const { client, kit, vendor } = world()
    const answer = await client.chat.completions.create({ ...marked('two whole'), n: 2 })
    expect(answer.choices.map(({ message }) => message.content)).toEqual(truthOf(vendor, 'two whole').texts)
    const streamed = await kit.stream(client, { ...marked('two streamed'), n: 2 }).finalChatCompletion()
    const { texts } = truthOf(vendor, 'two streamed')
    expect(texts).toHaveLength(2)
    expect(streamed.choices.map(({ message }) => message.content)).toEqual(texts)
    expect(streamed.choices.map(({ finish_reason }) => finish_reason)).toEqual(['stop', 'stop'])
  })

  it('passes log probabilities on', async () => {
    const { client, kit } = world()
    const recorded = recordedStreams().find(({ name }) => name.startsWith('03-'))
    const body = { ...marked('logprobs', `fault:replay=${recorded?.name}`), logprobs: true, top_logprobs: 2 }
    const [choice] = (await kit.stream(client, body).finalChatCompletion()).choices
    const tokens = choice?.logprobs?.content ?? []
    expect(tokens.map(({ token }) => token).join('')).toBe(recorded?.text)
    expect(tokens[0]).toMatchObject({ logprob: expect.any(Number), bytes: expect.any(Array) })
  })

  it('passes on what the caller asks of the vendor, fields of its own invention too', async () => {
    const { client, vendor } = world()
    const asked = {
      ...marked('fields'),
      stop: ['END', 'FIN'],
      seed: 7,
      temperature: 0.5,
      top_p: 0.9,
      presence_penalty: 0.1,
      frequency_penalty: 0.2,
      user: 'someone',
      reasoning_effort: 'low' as const,
      logit_bias: { '50256': -100 },
      max_completion_tokens: 5,
      service_tier: 'default' as const,
      prompt_cache_key: 'a-key',
      verbosity: 'low' as const,
      vendors_own_field: { nested: [1, 2] },
    }
    const answer = await client.chat.completions.create(asked)
    expect(vendor.lastBody()).toEqual({ ...asked, model: 'gpt-4o' })
    expect(answer.choices[0]?.finish_reason).toBe('length')
  })

  it('gives the vendor the newer name of the output limit, and nothing of ours', async () => {
    const { client, vendor } = world()
    const asked = { ...marked('limit'), max_tokens: 3, helix: { on_disconnect: 'cancel' } }
    await client.chat.completions.create(asked)
    expect(vendor.lastBody()).toEqual({ ...marked('limit'), model: 'gpt-4o', max_completion_tokens: 3 })
    expect(vendor.lastHeaders().authorization).toBe('Bearer sk-fake-1')
    const ours = Object.keys(vendor.lastHeaders()).filter((name) => /^x-(helix|stainless)|openai-/.test(name))
    expect(ours).toEqual([])
  })

  it('shows a picture to the vendor', async () => {
    const { client, vendor } = world()
    const url = 'data:image/png;base64,iVBORw0KGgo='
    const content = [
      { type: 'text' as const, text: 'What is this?' },
      { type: 'image_url' as const, image_url: { url, detail: 'low' as const } },
    ]
    await client.chat.completions.create({ model, messages: [{ role: 'user', content }], user: 'picture' })
    expect(vendor.lastBody()).toMatchObject({ messages: [{ role: 'user', content }] })
  })

  it('fits JSON to a schema, and the parse helper reads it', async () => {
    const { client, kit, vendor } = world()
    const body = { ...marked('schema', 'fault:schema'), response_format: kit.cityFormat }
    const parsed = await kit.parse(client, body)
    expect(parsed.choices[0]?.message.parsed).toEqual({
      name: expect.any(String),
      founded: expect.any(Number),
      tags: expect.any(Array),
    })
    expect(vendor.lastBody()).toMatchObject({
      response_format: { type: 'json_schema', json_schema: { name: 'city', strict: true } },
    })
    const streamed = await kit.stream(client, body).finalChatCompletion()
    expect(streamed.choices[0]?.message.parsed).toEqual(parsed.choices[0]?.message.parsed)
  })
}
