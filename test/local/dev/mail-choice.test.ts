import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { bannerOf, type Facts, jsonOf } from '../../../scripts/dev/banner.ts'
import { chooseMail, type MailChoice } from '../../../scripts/dev/mail-choice.ts'

const closers: (() => Promise<void>)[] = []
let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'helix-mail-'))
})
afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()))
  await rm(folder, { recursive: true, force: true })
})

async function choose(variables: Record<string, string>): Promise<MailChoice> {
  const choice = await chooseMail({ variables, folder, fixedPort: false, log: () => {} })
  closers.push(choice.close)
  return choice
}

const factsWith = (mail: Facts['mail']): Facts => ({
  origin: 'http://127.0.0.1:8787',
  apiKey: 'hx_live_1',
  bootstrapToken: undefined,
  model: 'llama3.2:3b',
  node: {
    kind: 'demo',
    url: 'http://127.0.0.1:11435',
    speechUrl: undefined,
    agentUrl: undefined,
    reason: 'no Ollama found',
  },
  vendors: [],
  mail,
  stores: { postgres: 'PGlite', psql: '', redis: 'embedded' },
  dataFolder: '/tmp/data',
  readyMs: 1_234,
})

describe('where mails go', () => {
  it('is a mailbox on this machine unless told otherwise, which takes what the Workers send', async () => {
    const { kind, url, variables, close } = await choose({ MAIL_API_KEY: 'of nobody' })
    expect({ kind, variables }).toEqual({
      kind: 'mailbox',
      variables: {
        MAIL_URL: `${url}/emails`,
        MAIL_API_KEY: expect.stringMatching(/^[0-9a-f]{48}$/),
        MAIL_FROM: 'Helix <no-reply@localhost>',
      },
    })
    const response = await fetch(variables.MAIL_URL ?? '', {
      method: 'POST',
      headers: { authorization: `Bearer ${variables.MAIL_API_KEY}` },
      body: JSON.stringify({ from: variables.MAIL_FROM, to: ['a@b.example'], subject: 'Hi', text: 'Hi' }),
    })
    expect(response.status).toBe(200)
    expect((await stat(join(folder, 'mailbox.jsonl'))).mode & 0o777).toBe(0o600)
    await close()
    await expect(fetch(url)).rejects.toThrow()
  })

  it('keeps the sender that the user named', async () => {
    expect((await choose({ MAIL_FROM: 'Me <me@b.example>' })).variables.MAIL_FROM).toBe('Me <me@b.example>')
  })

  it("is the user's provider when there is one", async () => {
    const { kind, url, variables } = await choose({ MAIL_URL: 'https://mail.example/send?secret=1', MAIL_API_KEY: 'k' })
    expect({ kind, url, variables }).toEqual({ kind: 'provider', url: 'https://mail.example', variables: {} })
  })
})

describe('a running stack', () => {
  it('says where its mails can be read', () => {
    const facts = factsWith({ kind: 'mailbox', url: 'http://127.0.0.1:8025' })
    expect(bannerOf(facts)).toContain('  Mail      http://127.0.0.1:8025 shows every mail; none is delivered\n')
    expect(JSON.parse(jsonOf(facts))).toMatchObject({ mailbox_url: 'http://127.0.0.1:8025' })
  })

  it('says so when they are really delivered', () => {
    const facts = factsWith({ kind: 'provider', url: 'https://mail.example' })
    expect(bannerOf(facts)).toContain('  Mail      delivered by https://mail.example (from MAIL_URL)\n')
    expect(JSON.parse(jsonOf(facts))).toMatchObject({ mailbox_url: null })
  })
})
