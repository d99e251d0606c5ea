import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { WatchTarget } from '../../../src/core/gate.ts'
import type { NodeLink, NodeRequest } from '../../../src/core/node.ts'
import { DEFAULT_NODE_LIMITS } from '../../../src/core/node.ts'
import { OutboundError } from '../../../src/core/outbound.ts'
import { createWatch } from '../../../src/features/gates/service.ts'
import { LoadView } from '../../../src/features/nodes/schema.ts'
import { loadView } from '../../../src/features/nodes/state.ts'
import { keptLog } from '../../support/fake-deps.ts'
import { sqliteStorage } from '../../support/sqlite-storage.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const INTERVAL_MS = 30_000

type Model = { name: string; digest: string; size?: number; capabilities?: string[]; show?: object }
const llama: Model = {
  name: 'llama3.1:8b',
  digest: 'd1',
  size: 4_900_000_000,
  show: {
    capabilities: ['completion', 'tools'],
    model_info: { 'general.architecture': 'llama', 'llama.context_length': 131_072, 'llama.embedding_length': 4096 },
  },
}
const embedder: Model = { name: 'nomic-embed-text:latest', digest: 'e1', show: { capabilities: ['embedding'] } }

/** A node that says what the test has it say, and its watch with an alarm that rings. */
function world(given: { models?: Model[]; speech?: object[]; agent?: boolean } = {}) {
  const node = {
    models: given.models ?? [llama, embedder],
    loaded: [] as object[],
    answers: undefined as ((request: NodeRequest) => Response | Promise<Response> | undefined) | undefined,
  }
  const asked: NodeRequest[] = []
  const answerTo = (request: NodeRequest): Response => {
    const body = typeof request.body === 'string' ? (JSON.parse(request.body) as { model?: string }) : {}
    switch (`${request.server} ${request.path}`) {
      case 'ollama /api/version':
        return Response.json({ version: '0.30.1' })
      case 'ollama /api/tags':
        return Response.json({
          models: node.models.map(({ show, ...one }) => ({
            ...one,
            modified_at: '2026-01-02T03:04:05Z',
            details: { family: 'f' },
          })),
        })
      case 'ollama /api/ps':
        return Response.json({ models: node.loaded })
      case 'ollama /api/show': {
        const found = node.models.find(({ name }) => name === body.model)
        return found?.show ? Response.json(found.show) : new Response('{"error":"no"}', { status: 500 })
      }
      case 'speech /v1/models':
        return Response.json({ object: 'list', data: given.speech })
      case 'agent /metrics':
        return Response.json({
          version: '1.2',
          gpus: [
            { name: 'RTX', memory_mb: 24_000, free_mb: 20_000, utilisation: 0.5 },
            { name: 'RTX', memory_mb: 24_000, free_mb: 4000, utilisation: 0.1 },
          ],
        })
      case 'agent /v1/models':
        return Response.json({ data: [{ id: 'clip', task: 'zero-shot-image-classification' }] })
      default:
        return new Response('no', { status: 404 })
    }
  }
  const send: NodeLink['send'] = async (request) => {
    asked.push(request)
    return (await node.answers?.(request)) ?? answerTo(request)
  }
  const link: NodeLink = {
    id: 'node_1',
    isShared: true,
    endpoints: {
      baseUrl: 'https://node.test',
      speechUrl: given.speech && 'https://speech.test',
      agentUrl: given.agent ? 'https://agent.test' : undefined,
    },
    limits: DEFAULT_NODE_LIMITS,
    isDraining: false,
    watch: 'shared',
    send,
  }
  const storage = sqliteStorage()
  const state = { alarmMs: undefined as number | undefined, busy: 0 }
  const background: Promise<void>[] = []
  const { log, lines } = keptLog()
  const targets: WatchTarget[] = []
  const stored = () => JSON.stringify(storage.exec('select * from watch'))
  const start = () =>
    createWatch({
      exec: storage.exec,
      alarm: {
        currentMs: () => state.alarmMs,
        set: (atMs) => {
          state.alarmMs = atMs
        },
      },
      intervalMs: INTERVAL_MS,
      linkOf: (target) => {
        targets.push(target)
        return link
      },
      occupancy: () => ({ inFlight: state.busy > 0 ? { chat: state.busy } : {}, waiting: 0 }),
      background: (work) => void background.push(work),
      log,
      now: Date.now,
    })
  let watch = start()
  /** The clock goes on for so long, and the alarm rings when it is due. */
  const pass = async (ms: number) => {
    const endMs = Date.now() + ms
    while (state.alarmMs !== undefined && state.alarmMs <= endMs) {
      await vi.advanceTimersByTimeAsync(Math.max(0, state.alarmMs - Date.now()))
      state.alarmMs = undefined
      let isDone = false
      const waking = watch.wake().finally(() => {
        isDone = true
      })
      await vi.advanceTimersByTimeAsync(0)
      while (!isDone) await vi.advanceTimersByTimeAsync(500)
      await waking
      await Promise.all(background.splice(0))
    }
    await vi.advanceTimersByTimeAsync(Math.max(0, endMs - Date.now()))
  }
  const crash = () => {
    watch = start()
  }
  const look = (maxAgeMs = 60_000, target: WatchTarget = 'shared') => watch.look({ target, maxAgeMs })
  const count = (path: string) => asked.filter((request) => request.path === path).length
  return {
    node,
    asked,
    look,
    pass,
    crash,
    count,
    state,
    lines,
    targets,
    stored,
    history: () => watch.history(),
    forget: () => watch.forget(),
  }
}

const away = () => Promise.reject(new OutboundError('connect', 'away'))

describe('a look at a node', () => {
  it('tells what it has, what is loaded, its cards, its other servers, and who is inside', async () => {
    const speech = [
      { id: 'Systran/faster-whisper-small', task: 'automatic-speech-recognition' },
      { id: 'kokoro', task: 'text-to-speech' },
    ]
    const { node, look, state } = world({ speech, agent: true })
    node.loaded = [{ name: 'llama3.1:8b', size_vram: 6_000_000_000, expires_at: '2026-01-02T03:14:05Z' }]
    state.busy = 2
    const found = await look()
    expect(found).toMatchObject({
      health: 'healthy',
      fault: undefined,
      version: '0.30.1',
      loaded: [{ name: 'llama3.1:8b', vramMb: 6000, untilMs: Date.parse('2026-01-02T03:14:05Z') }],
      gpu: { count: 2, name: 'RTX', memoryMb: 48_000, freeMb: 24_000, utilisation: 0.3 },
      speech: { ok: true },
      agent: { ok: true, version: '1.2' },
      inFlight: { chat: 2 },
      waiting: 0,
    })
    expect(found.models.map(({ server, name, capabilities }) => [server, name, capabilities])).toEqual([
      ['ollama', 'llama3.1:8b', ['completion', 'json', 'tools']],
      ['ollama', 'nomic-embed-text:latest', ['embedding']],
      ['speech', 'Systran/faster-whisper-small', ['transcription', 'translation']],
      ['speech', 'kokoro', ['speech']],
      ['agent', 'clip', ['image_embedding']],
    ])
    expect(found.models[0]).toMatchObject({
      digest: 'd1',
      sizeMb: 4900,
      contextLength: 131_072,
      embeddingLength: 4096,
      capabilitySource: 'show',
      modifiedAt: Date.parse('2026-01-02T03:04:05Z') / 1000,
    })
  })

  it('is good for as long as its asker says, and for all that ask at once', async () => {
    const { look, count, pass } = world()
    await Promise.all([look(), look(), look(0)])
    expect(count('/api/tags')).toBe(1)
    await look()
    expect(count('/api/tags')).toBe(1)
    await pass(10_000)
    await look(5000)
    expect(count('/api/tags')).toBe(2)
    await look(0)
    expect(count('/api/tags')).toBe(3)
  })

  it('shows a model once an hour and when its digest is another', async () => {
    const { node, look, count, pass } = world()
    await look()
    await pass(20 * INTERVAL_MS)
    await look(0)
    expect(count('/api/show')).toBe(2)
    node.models = [{ ...llama, digest: 'd2' }, embedder]
    await look(0)
    expect(count('/api/show')).toBe(3)
    await pass(50 * 60_000)
    await look()
    await pass(20 * 60_000)
    expect(count('/api/show')).toBeGreaterThanOrEqual(5)
  })

  it('tells what was added, removed and changed since the last that listed anew', async () => {
    const { node, look, pass, crash } = world()
    expect((await look(0)).changes).toEqual({ added: [llama.name, embedder.name], removed: [], changed: [] })
    expect((await look()).changes).toBeUndefined()
    node.models = [
      { ...llama, digest: 'd2' },
      { name: 'new', digest: 'n', show: {} },
    ]
    await pass(INTERVAL_MS)
    crash()
    expect((await look(0)).changes).toEqual({ added: ['new'], removed: [embedder.name], changed: [llama.name] })
    node.answers = away
    expect((await look(0)).changes).toBeUndefined()
    node.answers = undefined
    expect((await look(0)).changes).toEqual({ added: [], removed: [], changed: [] })
  })
})

describe('a node that makes things up', () => {
  const untold = ['x'.repeat(300), 'two\nlines', 'bell\u0007', '', 7, null]

  it('is shown with what can be true of it, and nothing of the rest', async () => {
    const huge = { size: 1e300, details: { context_length: 1e300 }, modified_at: '-271821-04-20T00:00:00Z' }
    const { node, look } = world({ speech: [], agent: true })
    node.answers = ({ server, path }) => {
      if (path === '/api/tags') {
        const named = untold.map((name) => ({ name }))
        return Response.json({ models: [...named, { name: 'a', ...huge, digest: 'd1' }, { name: 'a', size: 5 }, 'b'] })
      }
      if (path === '/api/show') return Response.json({ capabilities: ['completion'], model_info: infos })
      if (path === '/api/ps') return Response.json({ models: [{ name: 'a', size_vram: 1e300 }, { name: 'a' }, {}] })
      if (path === '/metrics') return Response.json({ gpus: [{ memory_mb: 24_000, free_mb: 9e14, utilisation: 7 }] })
      return server === 'speech' ? Response.json({ data: [{ id: 'ear', created: 1e300 }, { id: 'ear' }] }) : undefined
    }
    const state = await look()
    expect(state).toMatchObject({
      health: 'healthy',
      gpu: { memoryMb: 24_000, freeMb: 24_000, utilisation: undefined },
      loaded: [{ name: 'a', vramMb: 0 }],
    })
    const byServer = (of: string) => state.models.filter(({ server }) => server === of)
    const unknown = { sizeMb: undefined, contextLength: undefined, embeddingLength: undefined, modifiedAt: undefined }
    expect(byServer('ollama')).toMatchObject([{ name: 'a', ...unknown }])
    expect(byServer('speech')).toMatchObject([{ name: 'ear', modifiedAt: undefined }])
    expect(LoadView.parse(loadView({ state }))).toMatchObject({ vram_mb: 0, gpu: { free_mb: 24_000 } })
  })

  it('is watched on, with so much of what it tells as its object can keep', async () => {
    const models = Array.from({ length: 200 }, (_, at) => ({ name: `${at}-${'é'.repeat(240)}`, digest: `${at}` }))
    const { node, look, crash, stored } = world({ speech: models.map(({ name }) => ({ id: name })), agent: false })
    node.answers = ({ path }) => {
      if (path === '/api/tags') return Response.json({ models: models.map((one) => ({ ...one, details: words })) })
      return path === '/api/show'
        ? Response.json({ capabilities: Array(99).fill('ü'.repeat(64)), model_info: infos })
        : undefined
    }
    for (let looks = 0; looks < 4; looks++) expect((await look(0)).models).toHaveLength(400)
    expect(Buffer.byteLength(stored())).toBeLessThan(2_000_000)
    crash()
    expect((await look(0)).models).toHaveLength(400)
  })

  const words = { family: 'ä'.repeat(128), parameter_size: 'ä'.repeat(128), quantization_level: 'ä'.repeat(128) }
  const infos = Object.fromEntries([
    ...Array.from({ length: 60 }, (_, at) => [`${at}.pooling_type`, 'x'.repeat(64)]),
    ['llama.context_length', 1e300],
    ['llama.embedding_length', -4],
  ])
})

describe('the health of a node', () => {
  it('is bad within 90 seconds after its tunnel has stopped, keeps what was known, and is good after two looks', async () => {
    const { node, look, pass, lines } = world()
    await look()
    await pass(INTERVAL_MS - 1)
    node.answers = away
    await pass(90_000)
    expect(await look()).toMatchObject({
      health: 'unhealthy',
      fault: 'tunnel_down',
      models: [{ name: llama.name }, {}],
    })
    node.answers = undefined
    expect(await look(0)).toMatchObject({ health: 'unhealthy', fault: undefined })
    expect(await look(0)).toMatchObject({ health: 'healthy' })
    expect(lines.filter(({ event }) => event === 'node_health_changed').map(({ facts }) => facts?.is)).toEqual([
      'healthy',
      'degraded',
      'unhealthy',
      'healthy',
    ])
  })

  it('is bad as soon of a node that is silent, and costs no look more than its time', async () => {
    const { node, look, pass } = world()
    await look()
    node.answers = ({ signal }) =>
      new Promise((_, reject) => signal?.addEventListener('abort', () => reject(new OutboundError('aborted', 'late'))))
    await pass(90_000)
    node.answers = away
    expect((await look()).health).toBe('unhealthy')
  })

  it('is told apart by what the tunnel and the node say', async () => {
    const { node, look } = world()
    const faults: unknown[] = []
    const say = [
      () => new Response('<html>1033</html>', { status: 530 }),
      () => new Response('denied', { status: 403 }),
      () => new Response('', { status: 524 }),
      () => new Response('<html>hello</html>'),
      () => Response.json({ models: 'none' }),
      () => Promise.reject(new OutboundError('timeout', 'late')),
    ]
    for (const answer of say) {
      node.answers = answer
      faults.push((await look(0)).fault)
    }
    expect(faults).toEqual(['tunnel_down', 'auth', 'tunnel_silence', 'bad_output', 'bad_output', 'timeout'])
  })

  it('is only degraded while its speech server or its agent is away', async () => {
    const { node, look } = world({ speech: [], agent: true })
    node.answers = ({ server }) => (server === 'agent' ? new Response('', { status: 502 }) : undefined)
    expect(await look()).toMatchObject({
      health: 'degraded',
      speech: { ok: true },
      agent: { ok: false },
      gpu: undefined,
    })
  })
})

describe('the watch', () => {
  it('goes on for an hour after the last question, through a crash, and forgets then how the node is reached', async () => {
    const { look, pass, crash, count, state, history, targets } = world()
    await look()
    crash()
    await pass(30 * 60_000)
    expect(count('/api/tags')).toBe(61)
    await pass(26 * 60 * 60_000)
    expect(state.alarmMs).toBeUndefined()
    expect(count('/api/tags')).toBeLessThan(125)
    const known = targets.length
    crash()
    await look()
    expect(targets.length).toBe(known + 1)
    expect(state.alarmMs).toBe(Date.now() + INTERVAL_MS)
    expect((await history()).length).toBe(1)
  })

  it('of a deleted node forgets how it was reached at once, and is told by nobody again', async () => {
    const { look, pass, crash, count, state, history, stored, forget } = world()
    const target: WatchTarget = {
      orgId: 'org_1',
      account: {
        ...{ id: 'node_1', name: 'gpu', kind: 'ollama', baseUrl: 'https://gpu.test', models: [], quirks: {} },
        ...{ timeoutMs: 1, connectTimeoutMs: 1, maxRetries: 0, maxConcurrency: 4 },
        credentials: [{ id: 'node_1', sealed: 'v1.1.sealed-credential', updatedAt: 1 }],
      },
      dataKeys: [{ version: 1, wrapped: 'wrapped-key' }],
    }
    await look(60_000, target)
    expect(stored()).toContain('sealed-credential')
    await forget()
    expect(stored()).not.toMatch(/sealed-credential|wrapped-key|gpu\.test/)
    const asked = count('/api/tags')
    for (const again of [() => undefined, crash]) {
      again()
      expect(await look(0, target)).toMatchObject({ health: 'unknown', models: [] })
      await pass(3_600_000)
    }
    expect([count('/api/tags'), state.alarmMs, await history()]).toEqual([asked, undefined, []])
    expect(stored()).not.toContain('sealed-credential')
  })

  it('keeps the looks of a day', async () => {
    const { node, look, pass, history, state } = world()
    for (let hour = 0; hour < 27; hour++) {
      await look()
      state.busy = hour % 3
      await pass(3_590_000)
    }
    node.answers = away
    await look(0)
    const looks = await history()
    expect(looks.length).toBeGreaterThan(2800)
    expect(looks.length).toBeLessThan(2900)
    expect(looks.every(({ atMs }) => atMs >= Date.now() - 24 * 3_600_000)).toBe(true)
    expect(looks.at(-1)).toMatchObject({ fault: 'tunnel_down', latencyMs: undefined })
    expect(looks.at(-2)).toMatchObject({ fault: undefined, inFlight: 2 })
  })

  it('tries a model of which nobody tells anything once, while nobody works there', async () => {
    const seen: Model = { name: 'my-eyes', digest: 'x', show: {} }
    const vectors: Model = { name: 'my-vectors', digest: 'y', show: {} }
    const { node, look, pass, count, state } = world({ models: [seen, vectors] })
    node.answers = ({ path, body }) => {
      const { model, images } = JSON.parse(typeof body === 'string' ? body : '{}') as {
        model?: string
        images?: string[]
      }
      if (path === '/api/embed')
        return model === 'my-vectors' ? Response.json({ embeddings: [[0.1]] }) : new Response('', { status: 500 })
      if (path !== '/api/generate') return undefined
      if (model === 'my-vectors') return new Response('{"error":"does not support generate"}', { status: 400 })
      return Response.json({ done: true, prompt_eval_count: images ? 300 : 5 })
    }
    state.busy = 1
    expect((await look()).models.map(({ capabilitySource: source }) => source)).toEqual(['name', 'name'])
    await pass(3 * INTERVAL_MS)
    expect(count('/api/generate')).toBe(0)
    state.busy = 0
    await pass(5 * INTERVAL_MS)
    expect((await look()).models.map(({ capabilities, capabilitySource: source }) => [capabilities, source])).toEqual([
      [['completion', 'json', 'vision'], 'probe'],
      [['embedding'], 'probe'],
    ])
    const tried = count('/api/generate')
    await pass(3 * 60 * 60_000)
    expect(count('/api/generate')).toBe(tried)
    node.models = [{ ...seen, digest: 'z' }, vectors]
    await look(0)
    await pass(2 * INTERVAL_MS)
    expect(count('/api/generate')).toBe(tried + 2)
  })

  it('has a tone transcribed where a speech server says nothing of a model', async () => {
    const { node, look, pass, asked } = world({ models: [], speech: [{ id: 'ears' }, { id: 'tts-1' }] })
    node.answers = ({ path, body }) => {
      if (path !== '/v1/audio/transcriptions') return undefined
      const isEars = body instanceof Uint8Array && Buffer.from(body).includes('ears')
      return isEars ? Response.json({ text: '' }) : new Response('', { status: 400 })
    }
    await look()
    await pass(4 * INTERVAL_MS)
    expect((await look()).models.map(({ capabilities, capabilitySource: source }) => [capabilities, source])).toEqual([
      [['transcription'], 'probe'],
      [['speech'], 'name'],
    ])
    expect(asked.filter(({ path }) => path === '/v1/audio/transcriptions')).toHaveLength(2)
  })

  it('starts anew for a node at another address', async () => {
    const { look, targets } = world()
    const at = (baseUrl: string): WatchTarget => ({
      orgId: 'org_1',
      account: {
        id: 'node_1',
        name: 'n',
        kind: 'ollama',
        baseUrl,
        models: [],
        timeoutMs: 1,
        connectTimeoutMs: 1,
        maxRetries: 0,
        quirks: {},
        credentials: [],
      },
      dataKeys: [],
    })
    await look(0, at('https://one.test'))
    await look(0, at('https://one.test'))
    expect(targets).toHaveLength(1)
    await look(60_000, at('https://two.test'))
    expect(targets).toHaveLength(2)
  })
})
