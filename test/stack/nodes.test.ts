import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { type DemoNode, startDemoNode } from '../../scripts/local/demo-node/server.ts'
import { checkNode, type Outcome } from '../../scripts/node-check/checks.ts'
import { SHARED_NODE_ID } from '../../src/core/node.ts'
import { actionsOf, keyOf } from '../support/people.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { type Team, team } from './accounts-kit.ts'
import { callApi, rowsOf } from './members-kit.ts'

const access = { id: 'id-of-the-node.access', secret: 'secret-of-the-node-0123456789abcdef' }
const token = { type: 'service_token', client_id: access.id, client_secret: access.secret }

let shared: DemoNode
let ours: DemoNode
let plain: DemoNode
let stack: Stack

beforeAll(async () => {
  ;[shared, ours, plain] = await Promise.all([
    startDemoNode({ chunkDelayMs: 0, script: { 'of-all:1b': {} } }),
    startDemoNode({ chunkDelayMs: 0, access, script: { 'of-us:1b': {} } }),
    startDemoNode({ chunkDelayMs: 0, script: { 'big:1b': {}, 'ollama POST /api/chat': full } }),
  ])
  const own = [ours, plain].flatMap(({ url, speechUrl, agentUrl }) => [url, speechUrl, agentUrl])
  stack = await startStack({
    vars: { OLLAMA_BASE_URL: shared.url, NODE_SPEECH_URL: shared.speechUrl, OUTBOUND_TEST_ORIGINS: own.join(',') },
  })
})
afterAll(async () => {
  await stack?.close()
  await Promise.all([shared?.close(), ours?.close(), plain?.close()])
})

const full = {
  refuse: { status: 500, message: 'model requires more system memory (9.1 GiB) than is available (1 GiB)' },
}

const Node_ = z.looseObject({ id: z.string(), state: z.looseObject({ health: z.string() }) })

const body = (given: object = {}) => ({
  name: 'gpu',
  base_url: ours.url,
  speech_url: ours.speechUrl,
  metrics_url: ours.agentUrl,
  credential: token,
  ...given,
})

async function register(us: Team, given: object = {}): Promise<string> {
  const made = await us.api('POST /nodes', body(given))
  expect(made).toMatchObject({ status: 201 })
  return Node_.parse(made.body).id
}

describe('a node of an organisation', () => {
  it('is tried through its tunnel, registered, shown, changed and deleted, and no answer holds its credential', async () => {
    const us = await team(stack)
    const id = await register(us, { limits: { vision: 1 } })
    const paths = ours.seen().map(({ server, method, path }) => `${server} ${method} ${path}`)
    expect(paths).toEqual(
      expect.arrayContaining(['ollama GET /api/version', 'speech GET /v1/models', 'agent GET /metrics']),
    )
    const shown = await us.api(`GET /nodes/${id}`)
    expect(shown).toMatchObject({
      status: 200,
      body: {
        id,
        object: 'node',
        name: 'gpu',
        is_shared: false,
        base_url: ours.url,
        credential_hint: 'service_token …cdef',
        limits: { vision: 1, audio: 2, gpu_tasks: 4, gpu_workflows: 1, embed: 4, chat: 4 },
        allowed_pulls: null,
        load: { waiting: 0 },
      },
    })
    const patched = await us.api(`PATCH /nodes/${id}`, { priority: 7, limits: { audio: 1 } })
    expect(patched).toMatchObject({ status: 200, body: { priority: 7, limits: { vision: 1, audio: 1 } } })
    const { credential: _kept, ...same } = body({ name: 'renamed', limits: { chat: 2 } })
    const put = await us.api(`PUT /nodes/${id}`, same)
    expect(put).toMatchObject({
      status: 200,
      body: { name: 'renamed', priority: 50, limits: { chat: 2, vision: 2 }, credential_hint: 'service_token …cdef' },
    })
    expect(await us.api(`POST /nodes/${id}/check`)).toMatchObject({ status: 200 })
    expect(await us.api(`GET /nodes/${id}/load`)).toMatchObject({ status: 200, body: { in_flight: { chat: 0 } } })
    const listed = await us.api('GET /nodes')
    expect(rowsOf(listed).map((one) => one.id)).toEqual([id, SHARED_NODE_ID])
    expect(JSON.stringify([shown, patched, put, listed])).not.toMatch(/of-the-node/)
    const [row] = await stack.query('select credential, dek_version from nodes where id = $1', [id])
    expect(row).toMatchObject({ credential: expect.stringMatching(/^v1\.1\./), dek_version: 1 })
    expect(await us.api(`DELETE /nodes/${id}`)).toMatchObject({ status: 204 })
    expect(await us.api(`GET /nodes/${id}`)).toMatchObject({ status: 404 })
    expect(await stack.query('select credential from nodes where id = $1', [id])).toEqual([{ credential: null }])
    expect(await actionsOf(stack, us.orgId)).toEqual(['node.create', 'node.update', 'node.update', 'node.delete'])
  })

  it.each([
    ['without its credential', () => ({ credential: null }), '/base_url', 'auth'],
    ['with half of a wrong one', () => ({ credential: { ...token, client_secret: 'no' } }), '/base_url', 'auth'],
    ['at an address that is no Ollama', () => ({ base_url: ours.agentUrl }), '/base_url', 'status 404'],
    [
      'with a speech server that is none',
      () => ({ speech_url: `${ours.speechUrl}/nothing` }),
      '/speech_url',
      'status 404',
    ],
    ['with an agent for a speech server', () => ({ speech_url: `${ours.agentUrl}/` }), '/speech_url', 'agent'],
    ['with an agent that is none', () => ({ metrics_url: ours.speechUrl }), '/metrics_url', 'status 404'],
    ['at an address of a private network', () => ({ base_url: 'https://10.0.0.7' }), '/base_url', 'public Internet'],
    ['at an address with a query', () => ({ base_url: `${ours.url}/?a=b` }), '/base_url', 'a query'],
  ])('is not stored %s', async (_how, given, pointer, words) => {
    const us = await team(stack)
    const refused = await us.api('POST /nodes', body(given()))
    expect(refused).toMatchObject({
      status: 422,
      body: { errors: [{ pointer, detail: expect.stringContaining(words) }] },
    })
    expect(await stack.query('select 1 from nodes where org_id = $1', [us.orgId])).toEqual([])
  })

  it('shares its name with no provider, no vendor and no node', async () => {
    const us = await team(stack)
    const provider = { name: 'taken', kind: 'ollama', base_url: plain.url }
    expect(await us.api('POST /providers', provider)).toMatchObject({ status: 201 })
    await register(us)
    for (const name of ['taken', 'openai', 'ollama', 'auto', 'gpu']) {
      expect((await us.api('POST /nodes', body({ name }))).status, name).toBe(409)
    }
    expect((await us.api('POST /providers', { ...provider, name: 'gpu' })).status).toBe(409)
    expect(await team(stack).then((others) => register(others))).toMatch(/^node_/)
  })

  it('is a machine of its own: no two of an organisation have one address, however it is written', async () => {
    const us = await team(stack)
    const id = await register(us)
    const { port } = new URL(ours.url)
    for (const base_url of [ours.url, `${ours.url}//`, `HTTP://127.0.0.1:${port}/`]) {
      const second = await us.api('POST /nodes', body({ name: 'gpu-2', base_url }))
      expect(second, base_url).toMatchObject({ status: 409, body: { detail: expect.stringContaining('address') } })
    }
    const bare = { speech_url: null, metrics_url: null, credential: null }
    const other = await register(us, { name: 'gpu-2', base_url: `${plain.url}/`, ...bare })
    expect((await us.api(`GET /nodes/${other}`)).body).toMatchObject({ base_url: plain.url })
    expect((await us.api(`PATCH /nodes/${other}`, { base_url: ours.url, credential: token })).status).toBe(409)
    expect((await us.api(`PATCH /nodes/${id}`, { base_url: `${ours.url}/`, credential: token })).status).toBe(200)
    await stack.query('update nodes set base_url = $1 where id = $2', [`${ours.url}/`, other])
    expect((await us.api(`POST /nodes/${other}/drain`)).status, 'as it was before').toBe(200)
    expect((await us.api(`DELETE /nodes/${id}`)).status).toBe(204)
    expect((await us.api(`PATCH /nodes/${other}`, { base_url: ours.url, credential: token })).status).toBe(200)
  })

  it('moves nowhere with its credential, and only to where it answers', async () => {
    const us = await team(stack)
    const id = await register(us)
    const away = { base_url: plain.url, speech_url: null, metrics_url: null }
    expect(await us.api(`PATCH /nodes/${id}`, away)).toMatchObject({
      status: 422,
      body: { errors: [{ pointer: '/credential' }] },
    })
    const before = plain.seen().length
    expect((await us.api(`PATCH /nodes/${id}`, { base_url: `${plain.url}/nothing`, credential: null })).status).toBe(
      422,
    )
    expect(await us.api(`PATCH /nodes/${id}`, { ...away, credential: null })).toMatchObject({ status: 200 })
    const seen = plain.seen().slice(before)
    expect(seen.length).toBeGreaterThan(1)
    expect(JSON.stringify(seen)).not.toMatch(/cf-access/)
  })
})

describe('calls', () => {
  it('reach the node by its name with its credential, and stop when it drains', async () => {
    const us = await team(stack)
    const id = await register(us)
    const asked = await us.chat('gpu/of-us:1b')
    expect(asked.status).toBe(200)
    const last = ours.seen().findLast(({ path }) => path === '/api/chat')
    expect(last?.headers).toMatchObject({ 'cf-access-client-id': access.id })
    expect(last?.headers.authorization).toBeUndefined()

    expect(await us.api(`POST /nodes/${id}/drain`, {})).toMatchObject({ status: 200, body: { drain: true } })
    expect((await us.chat('gpu/of-us:1b')).status).toBe(503)
    const spared = await us.chat('gpu/of-us:1b', 'Hello', { helix: { fallback_models: ['ollama/of-all:1b'] } })
    expect(spared.status).toBe(200)
    expect(spared.headers.get('x-helix-provider')).toBe('ollama')
    expect(await us.api(`POST /nodes/${id}/drain`, { drain: false })).toMatchObject({ body: { drain: false } })
    expect((await us.chat('gpu/of-us:1b')).status).toBe(200)
  })

  it('with a test key reach it, too', async () => {
    const { orgId, apiKey } = await stack.org({ mode: 'test' })
    const live = await keyOf(stack, { orgId })
    const made = await callApi(stack, live.apiKey, { route: 'POST /nodes', body: body() })
    expect(made.status).toBe(201)
    const messages = [{ role: 'user', content: 'Hello' }]
    const asked = await stack.call(apiKey, '/v1/chat/completions', { model: 'gpu/of-us:1b', messages })
    expect(asked.status).toBe(200)
  })

  it('of another organisation never reach it', async () => {
    const [us, others] = [await team(stack), await team(stack)]
    const id = await register(us)
    const before = ours.seen().length
    for (const model of ['gpu/of-us:1b', 'of-us:1b']) {
      expect((await others.chat(model)).status, model).toBeGreaterThanOrEqual(400)
    }
    expect((await others.chat('auto')).headers.get('x-helix-provider')).toBe('ollama')
    expect(ours.seen()).toHaveLength(before)
    for (const route of ['GET', 'DELETE']) expect((await others.api(`${route} /nodes/${id}`)).status).toBe(404)
    expect((await others.api(`PATCH /nodes/${id}`, { priority: 1 })).status).toBe(404)
    expect(rowsOf(await others.api('GET /nodes')).map((one) => one.id)).toEqual([SHARED_NODE_ID])
  })

  it('go on to another target where the node has no memory for a model', async () => {
    const us = await team(stack)
    const bare = { base_url: plain.url, speech_url: null, metrics_url: null, credential: null }
    await register(us, { name: 'small', ...bare })
    // The first call is where the gateway learns what the node has.
    expect((await us.chat('small/big:1b')).status).toBe(502)
    const asked = await us.chat('small/big:1b', 'Hello', { helix: { fallback_models: ['ollama/of-all:1b'] } })
    expect(asked.status).toBe(200)
    expect(asked.headers.get('x-helix-attempts')).toBe('2')
  })
})

describe('the checks with a real node', () => {
  it('ask the demo node what it has, and say what it cannot show', async () => {
    const us = await team(stack)
    await register(us)
    const told: Outcome[] = []
    const through = { url: stack.url, key: us.apiKey, node: 'gpu', pictures: 2 }
    const isGood = await checkNode(through, (outcome) => told.push(outcome))
    expect([isGood, told.filter(({ result }) => result === 'failed')]).toEqual([true, []])
    expect(told.map(({ result }) => result)).toEqual(['ok', 'ok', 'skipped', 'skipped', 'ok', 'ok', 'skipped'])
    expect(told[4]?.words).toContain('by themselves 2 of 2')
    expect((await us.api('GET /vision/images')).body).toMatchObject({ data: [] })
    await expect(checkNode({ ...through, node: 'nobody' }, () => undefined)).rejects.toThrow('no node')
  })
})

describe('the node that everybody shares', () => {
  it('is shown without its addresses, and changed by nobody', async () => {
    const us = await team(stack)
    const shown = await us.api(`GET /nodes/${SHARED_NODE_ID}`)
    expect(shown).toMatchObject({ status: 200, body: { is_shared: true, name: 'ollama', base_url: null } })
    expect(JSON.stringify(shown)).not.toContain(new URL(shared.url).port)
    const at = `/nodes/${SHARED_NODE_ID}`
    expect((await us.api(`PUT ${at}`, body())).status).toBe(403)
    expect((await us.api(`PATCH ${at}`, { priority: 1 })).status).toBe(403)
    expect((await us.api(`DELETE ${at}`)).status).toBe(403)
    expect((await us.api(`POST ${at}/drain`, {})).status).toBe(403)
  })
})
