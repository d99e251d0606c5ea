import OpenAI from 'openai'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import * as z from 'zod'
import { type DemoNode, startDemoNode } from '../../scripts/local/demo-node/server.ts'
import { keyOf } from '../support/people.ts'
import { pictureNames, pixelsOf, pngOf } from '../support/pictures.ts'
import { type Stack, startStack } from '../support/stack.ts'

const sees = { capabilities: ['completion', 'vision'] as const, pieces: ['A red ', 'house.'] }
const PATIENT = { timeout: 30_000, interval: 20 }

let node: DemoNode
let stack: Stack
let apiKey: string
let orgId: string

beforeAll(async () => {
  node = await startDemoNode({ chunkDelayMs: 0 })
  stack = await startStack({
    vars: { OLLAMA_BASE_URL: node.url, NODE_AGENT_URL: node.agentUrl, HEALTH_INTERVAL_MS: '300' },
  })
  // One that sees is enough to be asked, and to be missed.
  await change('DELETE', '/api/delete', 'gemma4:e2b')
})
afterAll(async () => {
  await stack?.close()
  await node?.close()
})
beforeEach(async () => {
  node.script({ 'llava:7b': sees })
  orgId = (await stack.org()).orgId
  apiKey = (await keyOf(stack, { orgId })).apiKey
})

const change = (method: string, path: string, model: string) =>
  fetch(`${node.url}${path}`, { method, body: JSON.stringify({ model, stream: false }) })

const picture = (at = 0, side = 24) => pngOf(pixelsOf(pictureNames[at % pictureNames.length] ?? 'house', side), side)

function formOf(files: readonly Uint8Array[], fields: Record<string, string> = {}, name = 'file'): FormData {
  const form = new FormData()
  for (const [at, file] of files.entries()) {
    form.append(name, new File([Buffer.from(file)], `${at}.png`, { type: 'image/png' }))
  }
  for (const [field, value] of Object.entries(fields)) form.append(field, value)
  return form
}

const send = (path: string, body: FormData, headers: Record<string, string> = {}) =>
  fetch(`${stack.url}/api/v1/vision${path}`, {
    method: 'POST',
    body,
    headers: { authorization: `Bearer ${apiKey}`, ...headers },
  })

const look = (path: string) => stack.call(apiKey, `/api/v1/vision${path}`)

describe('pictures', () => {
  it('are looked at in workerd, and nothing of them stays there', async () => {
    const answer = await send('/analyze', formOf([picture(0, 64)], { prompt: 'What is on it?' }))
    expect([answer.status, await answer.json()]).toMatchObject([
      200,
      { result: 'A red house.', model_used: 'ollama/llava:7b', confidence_source: 'logprob', filename: '0.png' },
    ])
    const runs = () => stack.query('select * from vision_runs where org_id = $1', [orgId])
    await vi.waitFor(async () => expect(await runs()).toHaveLength(1), PATIENT)
    expect(await runs()).toMatchObject([{ operation: 'analyze', ok: true, model: 'llava:7b' }])
    expect(JSON.stringify(await stack.query('select t::text from decisions t where org_id = $1', [orgId]))).not.toMatch(
      /What is on it|red house|base64/,
    )
  })

  it('wait at the node behind two others', async () => {
    node.script({ 'llava:7b': { ...sees, firstTokenDelayMs: 700 } })
    let isOver = false
    const asked = Promise.all([0, 1, 2].map((at) => send('/analyze', formOf([picture(at)])))).finally(() => {
      isOver = true
    })
    let most = 0
    await vi.waitFor(
      () => {
        most = Math.max(most, node.activeGenerations())
        expect(isOver).toBe(true)
      },
      { timeout: 60_000, interval: 5 },
    )
    expect((await asked).map(({ status }) => status)).toEqual([200, 200, 200])
    expect(most).toBe(2)
  })

  it('of a kind that nobody knows are refused, and so are broken ones and eleven', async () => {
    const text = new TextEncoder().encode('no picture')
    expect((await send('/analyze', formOf([text]))).status).toBe(415)
    const broken = await send('/ocr', formOf([picture().subarray(0, 30)]))
    expect([broken.status, await broken.json()]).toMatchObject([422, { code: 'undecodable_image' }])
    const eleven = Array.from({ length: 11 }, () => picture())
    expect((await send('/batch/analyze', formOf(eleven, {}, 'files'))).status).toBe(422)
  })

  it('of a batch are looked at by a job', async () => {
    const files = [0, 1, 2, 3, 0].map((at) => picture(at))
    const accepted = await send('/batch/analyze', formOf(files, {}, 'files'))
    expect(accepted.status).toBe(202)
    const place = accepted.headers.get('location') ?? ''
    const Job = z.looseObject({ status: z.string(), result: z.unknown().optional() })
    const job = async () => Job.parse(await (await stack.call(apiKey, place)).json())
    await vi.waitFor(async () => expect((await job()).status).toBe('completed'), PATIENT)
    expect((await job()).result).toMatchObject({ total_images: 5, successful_analyses: 5, failed_analyses: 0 })
  })

  it('are found again by themselves and by words', async () => {
    const Made = z.looseObject({ id: z.string() })
    const ids: string[] = []
    for (const at of [0, 1]) {
      const made = await send('/images', formOf([picture(at, 32)], { caption: `Picture ${at}` }))
      expect(made.status).toBe(201)
      ids.push(Made.parse(await made.json()).id)
    }
    expect((await send('/images', formOf([picture(0, 32)]))).status).toBe(200)
    const Found = z.looseObject({
      results: z.array(z.looseObject({ image_id: z.string(), similarity_score: z.number(), space: z.string() })),
    })
    const { results } = Found.parse(await (await send('/search-similar', formOf([picture(1, 32)]))).json())
    expect(results[0]).toMatchObject({ image_id: ids[1], space: 'image' })
    expect(results[0]?.similarity_score).toBeGreaterThanOrEqual(0.99)
    const words = await send('/search', formOf([], { search_prompt: 'red', threshold: '0' }))
    expect(Found.parse(await words.json()).results).toHaveLength(2)
    const removed = await stack.call(apiKey, `/api/v1/vision/images/${ids[0]}`, undefined, { method: 'DELETE' })
    expect(removed.status).toBe(204)
  })
})

describe('a client of OpenAI', () => {
  it('shows a picture to a model of the node', async () => {
    const client = new OpenAI({ apiKey, baseURL: `${stack.url}/v1`, maxRetries: 0 })
    const url = `data:image/png;base64,${Buffer.from(picture()).toString('base64')}`
    const { choices } = await client.chat.completions.create({
      model: 'llava:7b',
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'What is on it?' },
            { type: 'image_url', image_url: { url } },
          ],
        },
      ],
    })
    expect(choices[0]?.message.content).toBe('A red house.')
  })
})

describe('the only model that sees', () => {
  it('is missed one look after it was removed, and asked one look after it is back', async () => {
    const statusOf = async () => (await send('/analyze', formOf([picture()]))).status
    await change('DELETE', '/api/delete', 'llava:7b')
    node.script({})
    await vi.waitFor(
      async () => expect(await (await look('/health')).json()).toMatchObject({ models_available: 0 }),
      PATIENT,
    )
    const refused = await send('/analyze', formOf([picture()]))
    expect([refused.status, await refused.json()]).toMatchObject([
      503,
      { code: 'no_capable_model', capability: 'vision' },
    ])
    expect(refused.headers.get('retry-after')).toBe('30')
    // A name with a tag that a script holds is a model that is there.
    node.script({ 'llava:7b': sees })
    await vi.waitFor(async () => expect(await statusOf()).toBe(200), PATIENT)
    expect(await (await look('/models')).json()).toMatchObject({
      models: expect.arrayContaining([expect.objectContaining({ id: 'ollama/llava:7b' })]),
    })
  })
})
