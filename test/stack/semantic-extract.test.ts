import { afterAll, beforeAll, expect, it } from 'vitest'
import { type DemoNode, startDemoNode } from '../../scripts/local/demo-node/server.ts'
import { type Stack, startStack } from '../support/stack.ts'

const text = 'Marie Curie was born in Warsaw. She discovered polonium together with Pierre Curie.'
const named = (name: string, type: string) => ({ name, type, description: null, properties: [], confidence: 0.9 })
const graph = {
  entities: [named('Marie Curie', 'person'), named('Warsaw', 'place')],
  relations: [
    {
      source: 'Marie Curie',
      target: 'Warsaw',
      type: 'born_in',
      description: null,
      confidence: 0.8,
      evidence: 'Marie Curie was born in Warsaw',
    },
    {
      source: 'Marie Curie',
      target: 'Warsaw',
      type: 'left',
      description: null,
      confidence: 1,
      evidence: 'She left it',
    },
  ],
}
const said = (value: unknown) => ({ pieces: [JSON.stringify(value)] })

let node: DemoNode
let stack: Stack

beforeAll(async () => {
  node = await startDemoNode({
    chunkDelayMs: 0,
    script: {
      'graph:1b': said(graph),
      'classes:1b': [
        said({ scores: { c1: 2 } }),
        said({ scores: { c1: 0.9, c2: 0.1 }, subcategory: null, tags: ['a'] }),
      ],
      'stubborn:1b': said({ pwned: true }),
    },
  })
  stack = await startStack({ vars: { OLLAMA_BASE_URL: node.url, NODE_AGENT_URL: node.agentUrl } })
})
afterAll(async () => {
  await stack?.close()
  await node?.close()
})

async function team() {
  const { orgId, apiKey } = await stack.org({ scopes: ['semantic:write'] })
  const ask = async (path: string, body?: unknown) => {
    const response = await stack.call(apiKey, `/api/v1/semantic/${path}`, body)
    return { status: response.status, body: await response.json() }
  }
  return { orgId, ask }
}

it('reads, repairs, ranks, compares and keeps over the real stores, for one organisation', {
  timeout: 60_000,
}, async () => {
  const { orgId, ask } = await team()
  const found = await ask('extract-relations', { text, source_id: 'curie', model_name: 'ollama/graph:1b' })
  expect(found).toMatchObject({
    status: 200,
    body: {
      entities: { total: 2 },
      relations: { total: 1, items: [{ evidence: [{ start: 0, end: 30, text: 'Marie Curie was born in Warsaw' }] }] },
      dropped_relations: 1,
      merged_by: 'meaning',
      windows: 1,
      models_used: ['ollama/graph:1b'],
    },
  })
  expect((await ask('entities?entity_type=place')).body).toMatchObject({ data: [{ name: 'Warsaw', mention_count: 1 }] })
  expect((await ask('relations')).body).toMatchObject({ data: [{ relation_type: 'born_in' }] })

  const wish = { content: text, categories: ['science', 'sport'] }
  expect(await ask('classify', { ...wish, model_name: 'ollama/classes:1b' })).toMatchObject({
    status: 200,
    body: { top_category: 'science', windows: 1 },
  })
  expect(await ask('classify', { ...wish, model_name: 'ollama/stubborn:1b' })).toMatchObject({
    status: 502,
    body: { code: 'model_output_invalid' },
  })

  const documents = ['Nothing of it.', 'Polonium was discovered by Marie Curie.']
  expect(await ask('rerank', { query: 'Who discovered polonium?', documents })).toMatchObject({
    status: 200,
    body: { method: 'rerank', results: [{ index: 1 }, { index: 0 }], models_used: ['ollama/demo/word-ranker'] },
  })
  expect(node.seen()).toContainEqual(expect.objectContaining({ server: 'agent', path: '/v1/rerank' }))

  expect(await ask('index', { source_id: 'curie', text })).toMatchObject({ status: 200 })
  expect((await ask('detect-duplicates', { content_id: 'a-copy', content: text })).body).toMatchObject({
    duplicates: [{ duplicate_content_id: 'a-copy', similarity_score: 1, duplicate_type: 'exact' }],
  })
  expect(await stack.query('select duplicate_type from duplicate_pairs where org_id = $1', [orgId])).toEqual([
    { duplicate_type: 'exact' },
  ])
  expect((await ask('score-importance', { content: text, context: { interests: ['polonium'] } })).body).toMatchObject({
    dimensions: { uniqueness: expect.closeTo(0, 4), relevance: expect.any(Number), engagement: null },
  })

  const other = await team()
  expect((await other.ask('entities')).body).toMatchObject({ data: [] })
  expect((await other.ask('relations')).body).toMatchObject({ data: [] })
  expect((await other.ask('detect-duplicates', { content_id: 'a-copy', content: text })).body).toMatchObject({
    duplicates: [],
  })
})
