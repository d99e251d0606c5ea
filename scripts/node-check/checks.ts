import * as z from 'zod'
import { silence, soundFrom, wavOf } from '../../test/ops/agent/sounds.ts'
import { overlapOf, singles, threeThings } from './pictures.ts'

/** How a node is asked: through the gateway, with a key that may. */
export type Through = {
  url: string
  key: string
  /** As calls name it. */
  node: string
  /** How many pictures are indexed: up to 100. */
  pictures: number
}

/** What came of a check; `skipped` says what is missing for it. */
export type Outcome = { check: string; result: 'ok' | 'failed' | 'skipped'; words: string }

type World = Through & {
  isDemo: boolean
  post: (path: string, body: object | FormData) => Promise<Response>
}
type Check = {
  name: string
  needs: string
  /** Whether it takes a model that understands: made-up answers say nothing of it. */
  isOfSense?: boolean
  /** What was measured, and whether that is enough. */
  run: (world: World, model: string) => Promise<{ isEnough: boolean; words: string }>
}

const file = (bytes: Uint8Array, fields: Record<string, string> = {}, type = 'image/png'): FormData => {
  const form = new FormData()
  form.set('file', new File([Buffer.from(bytes)], type === 'image/png' ? 'a.png' : 'a.wav', { type }))
  for (const [name, value] of Object.entries(fields)) form.set(name, value)
  return form
}

async function read<T>(answer: Promise<Response>, shape: z.ZodType<T>): Promise<T> {
  const response = await answer
  const text = await response.text()
  if (!response.ok) throw new Error(`${response.status} ${text.slice(0, 300)}`)
  return shape.parse(JSON.parse(text))
}

const share = (some: number, all: number): string => `${some} of ${all}`
const isMost = (some: number, all: number, least: number): boolean => some >= least * all

const Objects = z.object({
  objects: z.array(
    z.object({ box: z.object({ x: z.number(), y: z.number(), width: z.number(), height: z.number() }) }),
  ),
})
const Indexed = z.object({ id: z.string(), space: z.enum(['image', 'caption']).nullable() })
const Found = z.object({ results: z.array(z.object({ image_id: z.string(), similarity_score: z.number() })) })

const checks: readonly Check[] = [
  {
    name: 'a chat is answered by the node',
    needs: 'completion',
    run: async ({ node, post }, model) => {
      const messages = [{ role: 'user', content: 'Say hello.' }]
      const response = await post('/v1/chat/completions', { model, messages, max_tokens: 20 })
      const by = response.headers.get('x-helix-provider')
      await response.body?.cancel()
      return { isEnough: response.ok && by === node, words: `${response.status}, by ${by}` }
    },
  },
  {
    name: 'two of three things overlap by half or more',
    needs: 'vision',
    isOfSense: true,
    run: async ({ post }, model_name) => {
      const { png, things } = threeThings
      const labels = JSON.stringify(things.map(({ name }) => name))
      const { objects } = await read(post('/api/v1/vision/detect-objects', file(png, { model_name, labels })), Objects)
      const found = things.filter(({ box }) => objects.some((one) => overlapOf(one.box, box) >= 0.5)).length
      return { isEnough: found >= 2, words: share(found, things.length) }
    },
  },
  {
    name: 'no text is read where there is none',
    needs: 'vision',
    isOfSense: true,
    run: async ({ post }, model_name) => {
      const shape = z.object({ has_text: z.boolean() })
      const { has_text } = await read(post('/api/v1/vision/extract-text', file(threeThings.png, { model_name })), shape)
      return { isEnough: !has_text, words: `has_text: ${has_text}` }
    },
  },
  { name: 'pictures are found by themselves, and by words', needs: 'image_embedding', run: searched },
  {
    name: 'silence is silence',
    needs: 'transcription',
    run: async ({ post }, model_name) => {
      const sound = wavOf(soundFrom(silence, { seconds: 5, sampleRate: 16_000 }))
      const shape = z.object({ transcription: z.string(), has_content: z.boolean() })
      const said = await read(post('/api/v1/audio/transcribe', file(sound, { model_name }, 'audio/wav')), shape)
      return { isEnough: !said.has_content && said.transcription.trim() === '', words: JSON.stringify(said) }
    },
  },
  {
    name: 'like is nearer than unlike',
    needs: 'embedding',
    isOfSense: true,
    run: async ({ post }, model) => {
      const input = ['The cat sleeps on the sofa.', 'A cat is asleep on the couch.', 'Shares fell sharply on Monday.']
      const shape = z.object({ data: z.array(z.object({ embedding: z.array(z.number()) })) })
      const { data } = await read(post('/v1/embeddings', { model, input }), shape)
      const [first = [], like = [], unlike = []] = data.map(({ embedding }) => embedding)
      const near = (other: readonly number[]) => first.reduce((sum, value, at) => sum + value * (other[at] ?? 0), 0)
      const words = `${near(like).toFixed(3)} and ${near(unlike).toFixed(3)}`
      return { isEnough: near(like) > near(unlike) + 0.1, words }
    },
  },
]

/** Indexes pictures, looks for each by itself and by its words, and takes them out again. */
async function searched({ post, url, key, pictures, isDemo }: World): Promise<{ isEnough: boolean; words: string }> {
  const ids: string[] = []
  const shown = singles(pictures)
  let [own, told] = [0, 0]
  try {
    for (const { png, words } of shown) {
      const made = await read(post('/api/v1/vision/images', file(png, { caption: words, store: 'false' })), Indexed)
      ids.push(made.id)
    }
    for (const [at, { png, words }] of shown.entries()) {
      const { results } = await read(post('/api/v1/vision/search', file(png, { top_k: '1' })), Found)
      const [first] = results
      if (first && first.image_id === ids[at] && first.similarity_score >= 0.99) own += 1
      const wish = { search_prompt: words, top_k: 5, threshold: 0 }
      const named = await read(post('/api/v1/vision/search', wish), Found)
      if (named.results.some(({ image_id }) => image_id === ids[at])) told += 1
    }
  } finally {
    const headers = { authorization: `Bearer ${key}` }
    for (const id of ids) await fetch(`${url}/api/v1/vision/images/${id}`, { method: 'DELETE', headers })
  }
  const isEnough = own === shown.length && (isDemo || isMost(told, shown.length, 0.85))
  const words = `by themselves ${share(own, shown.length)}, by words ${share(told, shown.length)}`
  return { isEnough, words: isDemo ? `${words} (the demo node knows no words)` : words }
}

const Nodes = z.object({
  data: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      state: z.object({ health: z.string(), version: z.string().nullable() }),
    }),
  ),
})
const Models = z.object({
  data: z.array(z.object({ name: z.string(), nodes: z.array(z.string()), capabilities: z.array(z.string()) })),
})

/** Asks one node what only a node with models can show, and tells of each check as it ends. */
export async function checkNode(through: Through, tell: (outcome: Outcome) => void): Promise<boolean> {
  const { url, key, node } = through
  const authorization = `Bearer ${key}`
  const get = <T>(path: string, shape: z.ZodType<T>) =>
    read(fetch(`${url}${path}`, { headers: { authorization } }), shape)
  const found = (await get('/api/v1/nodes', Nodes)).data.find(({ name }) => name === node)
  if (!found) throw new Error(`There is no node '${node}'.`)
  const { health, version } = found.state
  let isGood = health === 'healthy'
  tell({ check: 'the node is healthy', result: isGood ? 'ok' : 'failed', words: `${health}, version ${version}` })
  const { data: models } = await get('/api/v1/models/available', Models)
  const able = (capability: string): string | undefined => {
    const model = models.find((one) => one.nodes.includes(node) && one.capabilities.includes(capability))
    return model && `${node}/${model.name}`
  }
  const post = (path: string, body: object | FormData): Promise<Response> => {
    const headers = { authorization, ...(!(body instanceof FormData) && { 'content-type': 'application/json' }) }
    return fetch(`${url}${path}`, {
      method: 'POST',
      headers,
      body: body instanceof FormData ? body : JSON.stringify(body),
    })
  }
  const world = { ...through, isDemo: /demo/i.test(version ?? ''), post }
  for (const { name: check, needs, isOfSense, run } of checks) {
    const model = able(needs)
    const lacks =
      model === undefined ? `no model for ${needs}` : isOfSense && world.isDemo ? 'a demo understands nothing' : ''
    if (model === undefined || lacks !== '') {
      tell({ check, result: 'skipped', words: lacks })
      continue
    }
    const { isEnough, words } = await run(world, model).catch((error: unknown) => ({
      isEnough: false,
      words: String(error),
    }))
    isGood &&= isEnough
    tell({ check, result: isEnough ? 'ok' : 'failed', words: `${model}: ${words}` })
  }
  return isGood
}
