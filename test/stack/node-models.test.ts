import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { type DemoNode, startDemoNode } from '../../scripts/local/demo-node/server.ts'
import { SHARED_NODE_ID } from '../../src/core/node.ts'
import { count } from '../support/lane.ts'
import { actionsOf } from '../support/people.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { type Team, team } from './accounts-kit.ts'

/** Pauses between the pieces of what the quick model writes, and of what the slow one does. */
const [QUICK_MS, SLOW_MS] = [0, 80]
const WAIT = { timeout: 60_000, interval: 100 }

let shared: DemoNode
let ours: DemoNode
let stack: Stack

beforeAll(async () => {
  ;[shared, ours] = await Promise.all([
    startDemoNode({ chunkDelayMs: 0, script: { 'of-all:1b': {} } }),
    startDemoNode({
      chunkDelayMs: 50,
      script: {
        'slow:1b': { pieces: Array.from({ length: 10 }, () => 'word '), pieceDelayMs: SLOW_MS },
        'quick:1b': { pieces: Array.from({ length: 10 }, () => 'word '), pieceDelayMs: QUICK_MS },
        mistral: { pieces: ['word'], pieceDelayMs: 0 },
        'broken:1b': { refuse: { status: 500, message: 'it broke' } },
      },
    }),
  ])
  const own = [ours.url, ours.speechUrl, ours.agentUrl]
  stack = await startStack({ vars: { OLLAMA_BASE_URL: shared.url, OUTBOUND_TEST_ORIGINS: own.join(',') } })
})
afterAll(async () => {
  await stack?.close()
  await Promise.all([shared?.close(), ours?.close()])
})

const Id = z.looseObject({ id: z.string() })

async function withNode(given: object = {}): Promise<{ us: Team; nodeId: string }> {
  const us = await team(stack)
  const body = { name: 'gpu', base_url: ours.url, speech_url: ours.speechUrl, metrics_url: ours.agentUrl, ...given }
  const made = await us.api('POST /nodes', body)
  expect(made).toMatchObject({ status: 201 })
  return { us, nodeId: Id.parse(made.body).id }
}

const Names = z.object({ data: z.array(z.string()) })
const namesOf = async (us: Team) => Names.parse((await us.api('GET /ollama/models/names')).body).data

const Job = z.looseObject({
  id: z.string(),
  status: z.string(),
  progress: z.number(),
  detail: z.looseObject({ completed_bytes: z.number(), total_bytes: z.number() }).optional(),
  result: z.unknown().optional(),
  error: z.unknown().optional(),
})

describe('the models of nodes', () => {
  it('are listed over every node that the caller reaches, and over no other', async () => {
    const { us, nodeId } = await withNode()
    const others = await team(stack)
    const names = await namesOf(us)
    expect(names).toEqual(expect.arrayContaining(['slow:1b', 'llava:7b', 'of-all:1b']))
    expect(new Set(names).size).toBe(names.length)
    expect(await namesOf(others)).not.toContain('slow:1b')
    const own = await us.api(`GET /ollama/models?node_id=${nodeId}`)
    expect(own).toMatchObject({
      status: 200,
      body: {
        data: expect.arrayContaining([
          {
            name: 'llava:7b',
            size: 4_733_000_000,
            digest: expect.stringMatching(/^[0-9a-f]{64}$/),
            modified_at: expect.any(Number),
            capabilities: expect.arrayContaining(['completion', 'vision']),
            nodes: ['gpu'],
          },
        ]),
      },
    })
    expect(await others.api(`GET /ollama/models?node_id=${nodeId}`)).toMatchObject({ status: 404 })
    expect(await us.api('GET /ollama/health')).toMatchObject({
      status: 200,
      body: {
        status: 'healthy',
        default_model: 'gpu/llama3.1:8b',
        nodes: [{ id: nodeId, status: 'healthy', latency_ms: expect.any(Number) }, { id: SHARED_NODE_ID }],
      },
    })
    expect(await us.api('GET /models/capabilities')).toMatchObject({
      body: {
        capabilities: {
          vision: expect.arrayContaining(['gpu/llava:7b']),
          transcription: expect.arrayContaining(['gpu/demo/whisper-large-v3']),
          rerank: ['gpu/demo/word-ranker'],
        },
      },
    })
    const seeing = await us.api('GET /models/available?capability=transcription')
    expect(seeing).toMatchObject({
      status: 200,
      body: {
        data: expect.arrayContaining([
          expect.objectContaining({
            name: 'demo/whisper-small',
            is_available: true,
            content_types: ['audio'],
            nodes: ['gpu'],
          }),
        ]),
      },
    })
    const worth = z.object({ worth_installing: z.array(z.object({ capability: z.string() })) })
    const missing = worth.parse((await others.api('GET /models/recommendations?task_type=audio_transcription')).body)
    expect(missing.worth_installing[0]?.capability).toBe('transcription')
  })

  it('that see are chosen as long as there is one, and none is 503 with what is missing', async () => {
    const { us } = await withNode()
    const body = { task_type: 'image_analysis', requirements: { max_size_mb: 5000 } }
    expect(await us.api('POST /models/select', body)).toMatchObject({
      status: 200,
      body: {
        selected_model: expect.stringMatching(/^(?:gpu|ollama)\/llava:7b$/),
        model_info: { name: 'llava:7b', capability_source: 'show' },
        selection_reason: expect.stringContaining('made for image analysis'),
      },
    })
    const hearing = { task_type: 'audio_transcription', requirements: { capabilities: ['vision'] } }
    expect(await us.api('POST /models/select', hearing)).toMatchObject({
      status: 503,
      body: { code: 'no_capable_model', capability: 'transcription' },
    })
  })
})

describe('runs', () => {
  it('are what performance tells, exactly, and speed goes by them', async () => {
    const { us } = await withNode()
    const runs = count(12, 50)
    const models = Array.from({ length: runs }, (_, at) => (at % 2 === 0 ? 'quick:1b' : 'slow:1b'))
    for (let at = 0; at < models.length; at += 4) {
      const some = await Promise.all(models.slice(at, at + 4).map((model) => us.chat(`gpu/${model}`)))
      for (const answer of some) {
        expect(answer.status).toBe(200)
        await answer.text()
      }
    }
    expect((await us.chat('gpu/broken:1b')).status).toBeGreaterThanOrEqual(500)
    const booked = () =>
      stack.query(
        `select model, count(*)::int as total, count(*) filter (where status = 'ok')::int as ok,
           (avg(latency_ms) filter (where status = 'ok'))::float8 as ms
         from usage_ledger where org_id = $1 group by 1 order by 1`,
        [us.orgId],
      )
    const total = async () => (await booked()).reduce((sum, one) => sum + Number(one.total), 0)
    await expect.poll(total, WAIT).toBe(runs + 1)
    const rows = z
      .array(z.object({ model: z.string(), total: z.int(), ok: z.int(), ms: z.number().nullable() }))
      .parse(await booked())
    const told = await us.api('GET /models/performance?limit=100')
    const Performance = z.object({
      data: z.array(
        z.looseObject({
          model: z.string(),
          total_requests: z.int(),
          error_count: z.int(),
          success_rate: z.number(),
          average_response_time_ms: z.number().nullable(),
        }),
      ),
    })
    const { data } = Performance.parse(told.body)
    expect(
      data
        .map(({ model, total_requests, error_count, success_rate, average_response_time_ms: ms }) => ({
          model,
          total: total_requests,
          ok: total_requests - error_count,
          ms: ms === null ? null : Math.round(ms * 1000),
          share: success_rate,
        }))
        .toSorted((one, other) => (one.model < other.model ? -1 : 1)),
    ).toEqual(
      rows.map((row) => ({
        ...row,
        ms: row.ms === null ? null : Math.round(row.ms * 1000),
        share: row.ok / row.total,
      })),
    )
    expect(data.map(({ model }) => model)).toEqual(['quick:1b', 'slow:1b', 'broken:1b'])
    const speed = { task_type: 'text_generation', priority: 'speed', requirements: { max_size_mb: 2100 } }
    const chosen = await us.api('POST /models/select', speed)
    expect(chosen).toMatchObject({ status: 200, body: { selected_model: 'gpu/quick:1b' } })
    expect(await us.api('GET /models/quick:1b/stats')).toMatchObject({
      status: 200,
      body: { model: 'quick:1b', nodes: ['gpu'], total_requests: runs / 2, failed_requests: 0, success_rate: 1 },
    })
    expect(await us.api('GET /models/gpu/broken:1b/stats')).toMatchObject({
      body: { total_requests: 1, failed_requests: 1 },
    })
    expect(await us.api('GET /models/nobody/stats')).toMatchObject({ status: 404 })
    const others = await team(stack)
    expect((await others.api('GET /models/performance')).body).toEqual({ object: 'list', data: [] })
  })
})

describe('a pull', () => {
  it('tells of more and more bytes and ends with the digest that the node lists', async () => {
    const { us, nodeId } = await withNode({ allowed_pulls: ['mistral'] })
    const started = await us.api('POST /ollama/models/pull/mistral:7b', { node_id: nodeId })
    expect(started).toMatchObject({ status: 202, body: { kind: 'models.pull' } })
    const { id } = Job.parse(started.body)
    const again = await us.api('POST /ollama/models/pull/mistral:7b')
    expect(again).toMatchObject({ status: 409, body: { code: 'conflict', job_id: id } })
    const seen: z.output<typeof Job>[] = []
    const look = async () => {
      const job = Job.parse((await us.api(`GET /jobs/${id}`)).body)
      seen.push(job)
      return job.status
    }
    await expect.poll(look, WAIT).toMatch(/completed|failed/)
    expect(seen.at(-1)).toMatchObject({
      status: 'completed',
      progress: 1,
      result: { name: 'mistral:7b', node_id: nodeId, digest: expect.stringMatching(/^[0-9a-f]{64}$/), size_mb: 4373 },
    })
    const bytes = seen.flatMap(({ detail }) => (detail ? [detail.completed_bytes] : []))
    expect(bytes).toEqual(bytes.toSorted((one, other) => one - other))
    expect(bytes.at(-1)).toBe(4_372_826_298)
    const shares = seen.map(({ progress }) => progress)
    expect(shares).toEqual(shares.toSorted((one, other) => one - other))
    const answer = await us.chat('gpu/mistral:7b')
    expect(answer.status).toBe(200)
    await answer.text()

    expect(await us.api('POST /ollama/models/pull/llama3.2:1b')).toMatchObject({ status: 403 })
    expect((await us.api('POST /ollama/models/pull/Not%20a%20name')).status).toBe(404)
    const gone = await us.api(`DELETE /ollama/models/mistral:7b?node_id=${nodeId}`)
    expect(gone).toMatchObject({ status: 200, body: { name: 'mistral:7b', node: 'gpu', is_available: false } })
    expect(await us.api('DELETE /ollama/models/mistral:7b')).toMatchObject({
      status: 404,
      body: { code: 'model_not_found' },
    })
    expect(await actionsOf(stack, us.orgId)).toEqual(['node.create', 'model.pull', 'model.delete'])
  })

  it('of what is not there fails for good', async () => {
    const { us } = await withNode()
    const started = await us.api('POST /ollama/models/pull/nothing-like-it')
    const { id } = Job.parse(started.body)
    const look = async () => Job.parse((await us.api(`GET /jobs/${id}`)).body)
    await expect.poll(async () => (await look()).status, WAIT).toBe('failed')
    expect(await look()).toMatchObject({ error: { code: 'model_not_found' } })
  })

  it('changes only a node of one’s own', async () => {
    const { nodeId } = await withNode()
    const others = await team(stack)
    expect(await others.api('POST /ollama/models/pull/mistral:7b', { node_id: nodeId })).toMatchObject({ status: 404 })
    for (const given of [{}, { node_id: SHARED_NODE_ID }]) {
      expect((await others.api('POST /ollama/models/pull/mistral:7b', given)).status).toBe(403)
    }
    expect((await others.api(`DELETE /ollama/models/of-all:1b?node_id=${SHARED_NODE_ID}`)).status).toBe(403)
    expect((await others.api('POST /ollama/models/unload', { name: 'of-all:1b' })).status).toBe(403)
  })
})

describe('the memory of a node', () => {
  it('has a model that is loaded, until it is unloaded, and a refresh tells what is new', async () => {
    const { us, nodeId } = await withNode()
    expect(await us.api('POST /models/refresh')).toMatchObject({
      body: { added: expect.arrayContaining(['gpu/qwen3:8b']) },
    })
    expect(await us.api('POST /models/refresh')).toMatchObject({ body: { added: [], removed: [], changed: [] } })
    for (const name of ['qwen3:8b', 'nomic-embed-text']) {
      const loaded = await us.api('POST /ollama/models/load', { name, keep_alive: '5m' })
      expect(loaded).toMatchObject({
        status: 200,
        body: { node_id: nodeId, loaded: true, vram_mb: expect.any(Number), until: expect.any(Number) },
      })
      const unloaded = await us.api('POST /ollama/models/unload', { name })
      expect(unloaded).toMatchObject({ status: 200, body: { loaded: false, is_available: true, until: null } })
    }
    expect(await us.api('POST /ollama/models/load', { name: 'nobody' })).toMatchObject({
      status: 404,
      body: { code: 'model_not_found' },
    })
  })
})
