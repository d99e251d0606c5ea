import { describe, expect, it } from 'vitest'
import { bannerOf, type Facts, jsonOf } from '../../../scripts/dev/banner.ts'

const factsWith = (bootstrapToken: string | undefined): Facts => ({
  origin: 'http://127.0.0.1:8787',
  apiKey: 'hx_live_1',
  bootstrapToken,
  model: 'llama3.2:3b',
  node: {
    kind: 'demo',
    url: 'http://127.0.0.1:11435',
    speechUrl: 'http://127.0.0.1:11436',
    agentUrl: undefined,
    reason: 'no Ollama found',
  },
  vendors: [],
  mail: { kind: 'mailbox', url: 'http://127.0.0.1:8025' },
  stores: { postgres: 'PGlite', psql: '', redis: 'embedded' },
  dataFolder: '/tmp/data',
  readyMs: 1_234,
})

describe('what a start prints', () => {
  it('makes the first operator when it is pasted, while there is none', () => {
    const facts = factsWith('hxb_secret')
    const banner = bannerOf(facts)
    expect(banner).toContain('curl http://127.0.0.1:8787/api/v1/auth/bootstrap')
    const [, body = ''] = /bootstrap \\\n.*\n {2}-d '(.*)'/.exec(banner) ?? []
    expect(JSON.parse(body)).toMatchObject({ token: 'hxb_secret', username: 'admin', org_name: 'My team' })
    expect(JSON.parse(jsonOf(facts))).toMatchObject({ bootstrap_token: 'hxb_secret' })
  })

  it('says where the node’s other servers are, or how to name them', () => {
    const facts = factsWith(undefined)
    expect(bannerOf(facts)).toContain('speech at http://127.0.0.1:11436, no agent (NODE_AGENT_URL)')
    expect(JSON.parse(jsonOf(facts))).toMatchObject({ speech_url: 'http://127.0.0.1:11436', agent_url: null })
  })

  it('says nothing of it once there is one', () => {
    const facts = factsWith(undefined)
    expect(bannerOf(facts)).not.toContain('operator')
    expect(JSON.parse(jsonOf(facts))).toMatchObject({ bootstrap_token: null })
  })
})
