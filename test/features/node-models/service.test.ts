import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { insert } from '../../../scripts/seed.ts'
import type { Ctx, Deps } from '../../../src/core/context.ts'
import { DependencyError } from '../../../src/core/errors.ts'
import type { Gate, Looked } from '../../../src/core/gate.ts'
import type { Provider } from '../../../src/core/models.ts'
import { DEFAULT_NODE_LIMITS, type NodeLink, type NodeModel } from '../../../src/core/node.ts'
import { type PullInput, pull } from '../../../src/features/node-models/pulling.ts'
import { readTallies, together } from '../../../src/features/node-models/runs.ts'
import { selectModel, speechProvider } from '../../../src/features/node-models/service.ts'
import { fakeAdmission, fakeDeps, fakeSettings } from '../../support/fake-deps.ts'
import { idleGate } from '../../support/gateway.ts'
import { type MigratedPostgres, startMigratedPostgres } from '../../support/migrated-postgres.ts'
import { model, NOW, state } from './world.ts'

let postgres: MigratedPostgres

beforeAll(async () => {
  postgres = await startMigratedPostgres()
})
afterAll(() => postgres?.close())

type Call = {
  model: string
  provider?: string
  ok?: boolean
  status?: string
  ms?: number
  tokens?: number
  task?: string
  at?: number
  operation?: string
  cache?: string
  parent?: string
}

async function orgWith(calls: readonly Call[]): Promise<string> {
  const { orgId } = await insert(postgres.pool, fakeSettings.keyPepper, { name: 'A team' })
  await note(orgId, calls)
  return orgId
}

async function note(orgId: string, calls: readonly Call[]): Promise<void> {
  const keyId = 'key_1'
  for (const call of calls) {
    const { provider = 'gpu', ok = true, ms = 1000, tokens = 10, at = NOW - 60, operation = 'chat' } = call
    const status = call.status ?? (ok ? 'ok' : 'error')
    const id = randomUUID()
    await postgres.pool.query(
      `insert into usage_ledger (id, org_id, request_id, key_id, operation, provider, model, price_id, prices_hash, status,
         prompt_tokens, cached_tokens, cache_write_tokens, completion_tokens, reasoning_tokens, cost_nanos, estimated,
         attempts, latency_ms, ttft_ms, stream, created_at, parent_request_id)
       values ($1, $2, $1, $3, $4, $5, $6, '', '', $7, 5, 0, 0, $8, 0, 0, false, 1, $9, null, false, $10, $11)`,
      [id, orgId, keyId, operation, provider, call.model, status, tokens, ms, at, call.parent ?? null],
    )
    if (call.task === undefined) continue
    await postgres.pool.query(
      `insert into decisions (id, org_id, request_id, key_id, asked_model, strategy, candidates, excluded, attempts,
         outcome, cache, is_stream, policy_version, prices_version, created_at, task_type)
       values ($1, $2, $3, $4, 'm', 'priority', '[]', '[]', '[]', 'ok', $5, false, '', '', $6, $7)`,
      [randomUUID(), orgId, id, keyId, call.cache ?? 'off', at, call.task],
    )
  }
}

const times = (count: number, call: Call): Call[] => Array.from({ length: count }, () => call)

type Given = {
  orgId: string
  nodes: Readonly<Record<string, NodeModel[] | Partial<Looked>>>
  allowed?: string[]
} & Partial<Deps>

/** A caller whose organisation has these nodes. */
function ctxOf({ orgId, nodes, allowed, ...given }: Given): Ctx {
  const looks = new Map(
    Object.entries(nodes).map(([name, found]) => [`node_${name}`, Array.isArray(found) ? { models: found } : found]),
  )
  const gateOf = (id: string): Gate => ({ ...idleGate, look: async () => state(looks.get(id)) })
  const deps = fakeDeps({
    db: postgres.database(),
    gateOf,
    now: () => NOW * 1000,
    providers: new Map(Object.keys(nodes).map((name) => [name, providerOf(name)])),
    ...given,
  })
  const admission = fakeAdmission({ orgId, ...(allowed && { allowedModels: allowed }) })
  const { keyId, kind, scopes } = admission.policy
  return {
    ...deps,
    admission,
    caller: { orgId, keyId, kind, userId: undefined, role: undefined, scopes, ip: '192.0.2.1' },
    requestId: 'req_1',
    signal: new AbortController().signal,
    startedMs: NOW * 1000,
    defer: () => undefined,
  }
}

function providerOf(name: string, send?: NodeLink['send']): Provider {
  const refuse = async (): Promise<never> => {
    throw new Error('nothing is sent here')
  }
  const node: NodeLink = {
    id: `node_${name}`,
    isShared: false,
    endpoints: { baseUrl: `https://${name}.test` },
    limits: DEFAULT_NODE_LIMITS,
    isDraining: name === 'draining',
    watch: 'shared',
    send: send ?? refuse,
  }
  const timeouts = { connectMs: 1, firstByteMs: 1, idleMs: 1, totalMs: 1 }
  return { name, kind: 'node', timeouts, node, chat: refuse, embed: refuse, listModels: refuse }
}

const text = { taskType: 'text_generation', capability: 'completion' } as const
const seeing = { taskType: 'image_analysis', capability: 'vision' } as const

describe('what the books say of models', () => {
  it('is every call, by model and task, but those that say nothing of a model', async () => {
    const orgId = await orgWith([
      ...times(6, { model: 'a', ms: 500, tokens: 20, task: 'question_answering' }),
      ...times(2, { model: 'a', ok: false, task: 'question_answering' }),
      { model: 'a', status: 'budget', ms: 300, tokens: 4, task: 'question_answering' },
      { model: 'a', status: 'aborted', task: 'question_answering' },
      { model: 'a', status: 'unknown' },
      { model: 'a', task: 'question_answering', cache: 'exact' },
      { model: 'a', task: 'question_answering', at: NOW - 700_000 },
      { model: 'a', ms: 100, tokens: 1 },
      { model: 'v', operation: 'embedding', ms: 50, tokens: 0 },
      { model: 'a', provider: 'openai' },
    ])
    await orgWith(times(3, { model: 'a' }))
    const ctx = ctxOf({ orgId, nodes: {} })
    const tallies = await readTallies(ctx, { providers: ['gpu', 'other'], since: NOW - 604_800 })
    expect(
      tallies.map(({ model: name, taskType, calls, ok, latencyMs, tokens }) => ({
        name,
        taskType,
        calls,
        ok,
        latencyMs,
        tokens,
      })),
    ).toEqual([
      { name: 'a', taskType: 'question_answering', calls: 9, ok: 7, latencyMs: 3300, tokens: 124 },
      { name: 'a', taskType: 'text_generation', calls: 1, ok: 1, latencyMs: 100, tokens: 1 },
      { name: 'v', taskType: 'embedding_generation', calls: 1, ok: 1, latencyMs: 50, tokens: 0 },
    ])
    expect(together(tallies.slice(0, 1))).toEqual({
      calls: 9,
      ok: 7,
      meanMs: 3300 / 7,
      tokensPerSecond: (124 * 1000) / 3300,
      meanTokens: 124 / 7,
      lastAt: NOW - 60,
    })
    expect(together(tallies.slice(2))).toMatchObject({ tokensPerSecond: undefined, meanTokens: undefined })
    expect(together([])).toBeUndefined()
  })
})

describe('a model for a task', () => {
  it('is the one that was quicker, as long as the nodes are as they were for ten minutes', async () => {
    const orgId = await orgWith([...times(10, { model: 'a', ms: 3000 }), ...times(10, { model: 'b', ms: 200 })])
    const nodes = { gpu: [model('a'), model('b')] }
    const clock = { ms: NOW * 1000 }
    const ctx = ctxOf({ orgId, nodes, now: () => clock.ms })
    const choose = () => selectModel(ctx, { ...text, priority: 'speed' })
    expect(await choose()).toEqual({ model: 'gpu/b', fallbacks: ['gpu/a'], source: 'show' })
    await note(orgId, times(30, { model: 'b', ms: 9000 }))
    expect(await choose()).toMatchObject({ model: 'gpu/b' })
    clock.ms += 10 * 60_000
    expect(await choose()).toMatchObject({ model: 'gpu/a' })
    const changed = ctxOf({ orgId, nodes: { gpu: [model('a'), model('b', { digest: 'new' })] }, memory: ctx.memory })
    await note(orgId, times(40, { model: 'a', ms: 20_000 }))
    expect(await selectModel(changed, { ...text, priority: 'speed' })).toMatchObject({ model: 'gpu/b' })
  })

  it('is chosen without figures while Postgres is away', async () => {
    const away = { query: refuse, atomically: refuse }
    const ctx = ctxOf({ orgId: 'org_1', nodes: { gpu: [model('a'), model('b')] }, db: away })
    expect((await selectModel(ctx, text)).model).toBe('gpu/a')
  })

  it('that was named is that and no other, and must be there and able to do it', async () => {
    const orgId = await orgWith([])
    const eyes = model('eyes:7b', { capabilities: ['completion', 'vision'] })
    const ctx = ctxOf({
      orgId,
      nodes: {
        gpu: [eyes, model('blind:latest')],
        gpu2: [eyes],
        ill: { health: 'unhealthy', models: [model('gone', { capabilities: ['vision'] })] },
      },
    })
    const named = (modelName: string) => selectModel(ctx, { ...seeing, modelName })
    expect(await named('gpu2/eyes:7b')).toEqual({ model: 'gpu2/eyes:7b', fallbacks: [], source: 'show' })
    expect(await named('eyes:7b')).toEqual({ model: 'gpu/eyes:7b', fallbacks: ['gpu2/eyes:7b'], source: 'show' })
    await expect(named('nobody')).rejects.toMatchObject({ code: 'model_not_found', status: 404 })
    for (const name of ['blind', 'gpu/blind', 'blind:latest']) {
      await expect(named(name)).rejects.toMatchObject({ code: 'wrong_capability', details: { capability: 'vision' } })
    }
    await expect(named('gone')).rejects.toMatchObject({ code: 'no_capable_model' })
  })

  it('is none where no node that works now has one', async () => {
    const orgId = await orgWith([])
    const able = [model('eyes', { capabilities: ['completion', 'vision'] })]
    const nodes = {
      gpu: [model('blind')],
      draining: able,
      ill: { health: 'unhealthy' as const, models: able },
      silent: { fault: 'tunnel_down' as const, models: able },
    }
    await expect(selectModel(ctxOf({ orgId, nodes }), seeing)).rejects.toMatchObject({
      code: 'no_capable_model',
      status: 503,
      details: { capability: 'vision' },
      retryAfterSeconds: 30,
    })
    const gate = { ...idleGate, look: () => Promise.reject(new DependencyError('gate', 'away')) }
    await expect(selectModel(ctxOf({ orgId, nodes, gateOf: () => gate }), text)).rejects.toMatchObject({
      code: 'no_capable_model',
    })
  })

  it('is one that the caller may use', async () => {
    const orgId = await orgWith([])
    const nodes = { gpu: [model('a'), model('b')], other: [model('b')] }
    const chosen = async (allowed: string[]) => {
      const { model: first, fallbacks } = await selectModel(ctxOf({ orgId, nodes, allowed }), text)
      return [first, ...fallbacks].toSorted()
    }
    expect(await chosen(['b'])).toEqual(['gpu/b', 'other/b'])
    expect(await chosen(['gpu/a', 'other/b'])).toEqual(['gpu/a', 'other/b'])
    await expect(chosen(['gpt-4o'])).rejects.toMatchObject({ code: 'no_capable_model' })
  })
})

describe('a model that hears or speaks', () => {
  const speech = (name: string, ...capabilities: NodeModel['capabilities']) =>
    model(name, { server: 'speech', sizeMb: undefined, capabilities, capabilitySource: 'list' })

  it('is the largest whisper that fits on the cards', async () => {
    const orgId = await orgWith([])
    const models = ['tiny', 'large-v3', 'medium', 'distil-large-v3', 'small'].map((size) =>
      speech(`f/whisper-${size}`, 'transcription'),
    )
    const gpu = (memoryMb: number) => ({ models, gpu: { count: 1, name: 'card', memoryMb, freeMb: 0 } })
    const chosen = async (found: Partial<Looked>) => {
      const {
        provider,
        model: name,
        server,
      } = await speechProvider(ctxOf({ orgId, nodes: { gpu: found } }), 'transcription')
      return [provider.name, name, server]
    }
    expect(await chosen({ models })).toEqual(['gpu', 'f/whisper-large-v3', 'speech'])
    expect(await chosen(gpu(24_000))).toEqual(['gpu', 'f/whisper-large-v3', 'speech'])
    expect(await chosen(gpu(4000))).toEqual(['gpu', 'f/whisper-medium', 'speech'])
  })

  it('is on the server that does such things, and another does not stand in for it', async () => {
    const orgId = await orgWith([])
    const nodes = {
      gpu: [model('chat', { capabilities: ['completion', 'transcription'] }), speech('f/kokoro', 'speech')],
      ears: [model('f/sorter', { server: 'agent', capabilities: ['audio_classification'], capabilitySource: 'list' })],
    }
    const ctx = ctxOf({ orgId, nodes })
    expect(await speechProvider(ctx, 'speech', 'f/kokoro')).toMatchObject({
      model: 'f/kokoro',
      server: 'speech',
      fallbacks: [],
    })
    const found = await speechProvider(ctx, 'audio_classification')
    expect([found.provider.node?.id, found.model, found.server]).toEqual(['node_ears', 'f/sorter', 'agent'])
    await expect(speechProvider(ctx, 'transcription')).rejects.toMatchObject({ code: 'no_capable_model' })
    await expect(speechProvider(ctx, 'speech', 'ears/f/sorter')).rejects.toMatchObject({ code: 'wrong_capability' })
  })
})

describe('a pull', () => {
  type Told = { share: number; bytes: unknown }
  const input: PullInput = { name: 'm', node_id: 'node_gpu', insecure: false }
  const lines = (...all: object[]): string => all.map((one) => `${JSON.stringify(one)}\n`).join('')
  const weights = (completed: number) => ({ status: 'pulling', digest: 'w', total: 1000, completed })
  const end = lines({ digest: 'c', total: 10, completed: 10 }, { status: 'success' })

  /** An attempt at a pull to a node that answers so, in pieces of any size. */
  async function attempt(
    answer: string | Response,
    given: { allowed?: string[]; orgId?: string; detail?: object; has?: string } = {},
  ) {
    const orgId = given.orgId ?? (await orgWith([]))
    await postgres.pool.query(
      `insert into nodes (id, org_id, name, base_url, allowed_pulls, created_at, updated_at)
       values ('node_gpu', $1, 'gpu', 'https://gpu.test', $2, 1, 1) on conflict (id) do update set org_id = $1, allowed_pulls = $2`,
      [orgId, given.allowed === undefined ? null : JSON.stringify(given.allowed)],
    )
    const asked: unknown[] = []
    const send: NodeLink['send'] = async ({ path, body }) => {
      asked.push([path, JSON.parse(String(body))])
      return typeof answer === 'string' ? new Response(inPieces(answer)) : answer
    }
    let ms = NOW * 1000
    const now = () => (ms += 600)
    const nodes = { gpu: [model(given.has ?? 'm:latest', { digest: 'sha' })] }
    const ctx = ctxOf({ orgId, nodes, now, providers: new Map([['gpu', providerOf('gpu', send)]]) })
    const told: Told[] = []
    const result = pull({
      ctx,
      jobId: 'job_1',
      input,
      priority: 'normal',
      detail: { ...given.detail },
      signal: ctx.signal,
      progress: async (share, detail) => void told.push({ share, bytes: detail?.completed_bytes }),
    })
    return { result: await result.catch((error: unknown) => error), told, asked }
  }

  const inPieces = (text: string) =>
    new ReadableStream<Uint8Array>({
      start(controller) {
        const bytes = new TextEncoder().encode(text)
        for (let at = 0; at < bytes.length; at += 7) controller.enqueue(bytes.slice(at, at + 7))
        controller.close()
      },
    })

  it('tells how far it is, more each time, and ends with the model as the node lists it', async () => {
    const { result, told, asked } = await attempt(
      lines({ status: 'pulling manifest' }, weights(0), weights(500), weights(1000)) + end,
    )
    expect(asked).toEqual([['/api/pull', { model: 'm', insecure: false, stream: true }]])
    expect(result).toEqual({
      name: 'm:latest',
      node_id: 'node_gpu',
      digest: 'sha',
      size_mb: 4000,
      capabilities: ['completion', 'json'],
    })
    const shares = told.map(({ share }) => share)
    expect(shares).toEqual(shares.toSorted((one, other) => one - other))
    expect(shares.length).toBeGreaterThan(2)
    expect(told.at(-1)).toEqual({ share: 1, bytes: 1010 })
    expect(told.at(-2)?.share).toBeLessThan(1)
  })

  it('that broke off is tried again, and takes up what there was', async () => {
    const first = await attempt(lines(weights(0), weights(500)))
    expect(first.result).toMatchObject({ code: 'provider_error', retryable: true, details: { class: 'bad_output' } })
    const second = await attempt(lines(weights(0), weights(200), weights(700)) + end, {
      detail: { completed_bytes: 500, total_bytes: 1000 },
    })
    expect(second.told.every(({ share, bytes }) => share >= 0.495 && Number(bytes) >= 500)).toBe(true)
    expect(second.result).toMatchObject({ digest: 'sha' })
  })

  it.each([
    ['an error of the node', lines({ error: 'no space left on device' }), 'provider_error', true],
    ['a model that is nowhere', lines({ error: 'pull model manifest: file does not exist' }), 'model_not_found', false],
    ['what is no answer', '<html>', 'provider_error', true],
    ['a refusal', new Response('no', { status: 403 }), 'provider_error', true],
    ['a tunnel that is down', new Response('', { status: 530 }), 'network_error', true],
    ['too many bytes', lines({ digest: 'w', total: 81e9, completed: 0 }), 'payload_too_large', false],
  ])('ends with %s', async (_what, answer, code, retryable) => {
    expect((await attempt(answer)).result).toMatchObject({ code, retryable })
  })

  it('ends where the node says that it has the model, and does not list it', async () => {
    expect((await attempt(end, { has: 'another' })).result).toMatchObject({ code: 'provider_error' })
  })

  it('is nothing that is begun for a name that may not be pulled, or beside another one', async () => {
    const refused = await attempt(end, { allowed: ['n*'] })
    expect(refused).toMatchObject({ result: { code: 'permission_denied' }, asked: [] })
    const orgId = await orgWith([])
    await postgres.pool.query(
      `insert into jobs (id, org_id, kind, status, input, key_id, key_kind, due_at, started_at, expires_at, created_at, updated_at)
       values ('job_0', $1, 'models.pull', 'running', '{"node_id": "node_gpu"}', 'key_1', 'api_key', 1, 1, 1, 1, 1)`,
      [orgId],
    )
    expect(await attempt(end, { orgId })).toMatchObject({
      result: { code: 'conflict', details: { job_id: 'job_0' } },
      asked: [],
    })
  })
})

function refuse(): never {
  throw new DependencyError('postgres', 'away')
}
