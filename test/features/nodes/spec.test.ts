import { describe, expect, it } from 'vitest'
import { createAccountProvider } from '../../../src/adapters/providers/account.ts'
import { UpstreamError } from '../../../src/core/models.ts'
import type { OutboundRequest } from '../../../src/core/outbound.ts'
import { wrap } from '../../../src/features/encryption/keys.ts'
import { importDataKey, newDataKeyBytes, sealText } from '../../../src/features/encryption/seal.ts'
import { type NodeRow, nodeSpecOf } from '../../../src/features/nodes/service.ts'
import { accountsOf, nodeCredentialPlace, providersFor } from '../../../src/features/providers/service.ts'
import { fakeDeps, fakeSettings } from '../../support/fake-deps.ts'

const orgId = 'org_1'
const id = 'node_01m80b7w300k00agk0cj38wsyz'

const rowOf = (given: Partial<NodeRow> = {}): NodeRow => ({
  id,
  org_id: orgId,
  name: 'gpu',
  base_url: 'https://gpu.example.com',
  speech_url: 'https://speech.example.com',
  metrics_url: null,
  credential: null,
  dek_version: null,
  credential_hint: null,
  priority: 50,
  enabled: true,
  drain: false,
  limits: { vision: 1 },
  allowed_pulls: null,
  deleted_at: null,
  created_at: 1,
  updated_at: 1,
  ...given,
})

const VERSION = 3

/** A credential as it is stored, and the data key that it is sealed with. */
async function sealed(text: string) {
  const bytes = newDataKeyBytes()
  const key = { version: VERSION, key: await importDataKey(bytes) }
  const wrapped_dek = await wrap(fakeSettings, { purpose: 'data-key', bound: [orgId, VERSION] }, bytes)
  const credential = await sealText(key, nodeCredentialPlace(orgId, id), text)
  return { row: rowOf({ credential, dek_version: VERSION }), keys: [{ version: VERSION, wrapped_dek }] }
}

const accountOf = (row: NodeRow, keys: readonly { version: number; wrapped_dek: string }[] = []) =>
  accountsOf(
    { orgId, mode: 'test' },
    {
      providers: [],
      credentials: [],
      nodes: [{ spec: nodeSpecOf(row), priority: row.priority, dekVersion: row.dek_version }],
      dataKeys: keys,
    },
  )

describe('a node in a policy', () => {
  it('is an account whose limits are the defaults but for what its row says', () => {
    expect(nodeSpecOf(rowOf())).toMatchObject({
      id,
      kind: 'ollama',
      credentials: [],
      maxConcurrency: 4,
      node: {
        speechUrl: 'https://speech.example.com',
        limits: { chat: 4, embed: 4, vision: 1, audio: 2, gpu_workflows: 1, gpu_tasks: 4 },
        isDraining: false,
      },
    })
    expect(nodeSpecOf(rowOf()).node).not.toHaveProperty('agentUrl')
  })

  it('comes with the key of its credential and no other', () => {
    const keys = [
      { version: 1, wrapped_dek: 'one' },
      { version: 3, wrapped_dek: 'three' },
    ]
    expect(accountOf(rowOf({ credential: 'x', dek_version: 3 }), keys)?.dataKeys).toEqual([
      { version: 3, wrapped: 'three' },
    ])
    expect(accountOf(rowOf(), keys)?.dataKeys).toEqual([])
  })
})

describe('the way to a registered node', () => {
  const ask = { server: 'speech', method: 'GET', path: '/v1/models', headersTimeoutMs: 1000 } as const

  async function start(text: string, answer = () => new Response('{}')) {
    const sent: OutboundRequest[] = []
    const outbound = async (request: OutboundRequest) => {
      sent.push(request)
      return answer()
    }
    const deps = fakeDeps({ makeProvider: (spec) => createAccountProvider(spec, { outbound, now: () => 0 }) })
    const { row, keys } = await sealed(text)
    const accounts = accountOf(row, keys)
    const provider = providersFor(deps, accounts ? { accounts } : {}).get('gpu')
    if (!provider?.node) throw new Error('expected a node')
    return { sent, provider, node: provider.node, deps }
  }

  it('is opened with its service token, at each of its servers, through the guard', async () => {
    const token = JSON.stringify({ type: 'service_token', client_id: 'an-id', client_secret: 'a-secret' })
    const { node, sent, provider } = await start(token)
    expect(node).toMatchObject({ id, isShared: false, isDraining: false, limits: { vision: 1 } })
    expect(node.watch).toMatchObject({ orgId, account: { id }, dataKeys: [{ version: VERSION }] })
    await node.send(ask)
    await provider.listModels(new AbortController().signal).catch(() => undefined)
    expect(sent.map(({ url, purpose }) => [url, purpose])).toEqual([
      ['https://speech.example.com/v1/models', 'account'],
      ['https://gpu.example.com/api/tags', 'account'],
    ])
    for (const { headers } of sent) {
      expect(headers).toMatchObject({ 'cf-access-client-id': 'an-id', 'cf-access-client-secret': 'a-secret' })
    }
  })

  it('is opened with a bearer token where that is its credential', async () => {
    const { node, sent } = await start(JSON.stringify({ type: 'bearer', token: 'a-token' }))
    await node.send(ask)
    expect(sent[0]?.headers).toEqual({ authorization: 'Bearer a-token' })
  })

  it('leads nowhere else, and nowhere at all without the key of its credential', async () => {
    const { node, sent } = await start(JSON.stringify({ type: 'bearer', token: 'a-token' }))
    await expect(node.send({ ...ask, path: '/v1/models/../../admin' })).rejects.toMatchObject({ fault: 'blocked' })
    await expect(node.send({ ...ask, server: 'agent', path: '/metrics' })).rejects.toMatchObject({ fault: 'blocked' })
    expect(sent).toEqual([])
    const { row } = await sealed('a credential')
    const without = accountOf(row, [])
    const provider = providersFor(fakeDeps(), without ? { accounts: without } : {}).get('gpu')
    await expect(provider?.node?.send(ask)).rejects.toThrow(UpstreamError)
  })
})
