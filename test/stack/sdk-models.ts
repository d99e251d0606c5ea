import { expect, it } from 'vitest'
import { failureOf, user, type World } from './sdk-kits.ts'

const pixel =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

const lengthOf = (vector: readonly number[]) => Math.hypot(...vector)

/** Models, embeddings, and what a node does beside plain chat. */
export function modelScenarios(world: () => World): void {
  it('lists models of vendors and nodes under names that a chat takes', async () => {
    const { client } = world()
    const ids: string[] = []
    for await (const { id, object } of client.models.list()) {
      expect(object).toBe('model')
      ids.push(id)
    }
    expect(ids).toEqual(expect.arrayContaining(['openai/gpt-4o', 'ollama/llama3.2:3b', 'ollama/qwen3:8b']))
    expect(new Set(ids).size).toBe(ids.length)
  })

  it.each(['openai/gpt-4o', 'gpt-4o', 'ollama/llama3.2:3b', 'llama3.2:3b'])('retrieves %s', async (name) => {
    const { client } = world()
    const model = await client.models.retrieve(name)
    expect(model).toMatchObject({ object: 'model', id: expect.stringContaining(name) })
  })

  it('does not retrieve what is not there', async () => {
    const { client, kit } = world()
    const failure = await failureOf(client.models.retrieve('openai/nothing:like/this'))
    expect(failure).toBeInstanceOf(kit.errors.NotFoundError)
    expect(failure).toMatchObject({ status: 404, code: 'model_not_found' })
  })

  it.each(['openai/text-embedding-3-small', 'nomic-embed-text'])('embeds with %s', async (model) => {
    const { client } = world()
    const input = ['one text', 'another']
    const asBytes = await client.embeddings.create({ model, input })
    const asNumbers = await client.embeddings.create({ model, input, encoding_format: 'float' })
    expect(asBytes.data.map(({ index }) => index)).toEqual([0, 1])
    expect(asBytes.data).toHaveLength(2)
    asBytes.data.forEach(({ embedding }, at) => {
      const numbers = asNumbers.data[at]?.embedding ?? []
      expect(embedding).toHaveLength(numbers.length)
      expect(lengthOf(embedding)).toBeCloseTo(1, 4)
      expect(Math.max(...embedding.map((value, place) => Math.abs(value - (numbers[place] ?? 9))))).toBeLessThan(1e-6)
    })
    expect(asBytes.usage.prompt_tokens).toBeGreaterThan(0)
  })

  it('embeds one text, tokens, and to fewer dimensions', async () => {
    const { client } = world()
    const model = 'text-embedding-3-small'
    const one = await client.embeddings.create({ model, input: 'just one', dimensions: 64 })
    expect(one.data.map(({ embedding }) => embedding.length)).toEqual([64])
    const tokens = await client.embeddings.create({ model, input: [[1, 2, 3], [4]] })
    expect(tokens.data).toHaveLength(2)
    expect(tokens.usage.prompt_tokens).toBe(4)
  })

  it('streams from a node', async () => {
    const { client, kit } = world()
    const runner = kit.stream(client, {
      model: 'llama3.2:3b',
      messages: user('say exactly: Grüße, 世界 🦙'),
      stream_options: { include_usage: true },
    })
    const answer = await runner.finalChatCompletion()
    expect(answer.choices[0]?.message.content).toBe('[demo node] Grüße, 世界 🦙')
    expect(answer.usage?.completion_tokens).toBeGreaterThan(0)
  })

  it('shows the thoughts of a node, whole and streamed, and asks for none', async () => {
    const { client } = world()
    const body = { model: 'qwen3:8b', messages: user('Why?'), reasoning_effort: 'high' as const }
    const whole = await client.chat.completions.create(body)
    expect(whole.choices[0]?.message).toMatchObject({ reasoning_content: expect.stringContaining('pretend to think') })
    let thoughts = ''
    for await (const { choices } of await client.chat.completions.create({ ...body, stream: true })) {
      const delta: { content?: string | null; reasoning_content?: string } = choices[0]?.delta ?? {}
      thoughts += delta.reasoning_content ?? ''
    }
    expect(thoughts).toContain('pretend to think')
    const silent = await client.chat.completions.create({ ...body, reasoning_effort: 'none' as const })
    expect(silent.choices[0]?.message).not.toHaveProperty('reasoning_content')
  })

  it('fits the JSON of a node to a schema', async () => {
    const { client, kit } = world()
    const body = { model: 'llama3.2:3b', messages: user('A city, please'), response_format: kit.cityFormat }
    const parsed = await kit.parse(client, body)
    expect(parsed.choices[0]?.message.parsed).toEqual({
      name: expect.any(String),
      founded: expect.any(Number),
      tags: expect.any(Array),
    })
    const loose = await client.chat.completions.create({ ...body, response_format: { type: 'json_object' } })
    expect(JSON.parse(loose.choices[0]?.message.content ?? '')).toBeTypeOf('object')
  })

  it('shows a picture to a node, and refuses an address that the node cannot fetch', async () => {
    const { client, kit } = world()
    const ask = (url: string) =>
      client.chat.completions.create({
        model: 'llava:7b',
        messages: [
          {
            role: 'user',
            content: [
              { type: 'text', text: 'What?' },
              { type: 'image_url', image_url: { url } },
            ],
          },
        ],
      })
    expect((await ask(pixel)).choices[0]?.message.content).toContain('a PNG image of 1 × 1 pixels')
    const failure = await failureOf(ask('https://example.com/a.png'))
    expect(failure).toBeInstanceOf(kit.errors.BadRequestError)
    expect(failure).toMatchObject({ param: 'messages[0].content[1].image_url.url' })
  })
}
