import { createServer, type RequestListener } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import { type Mailbox, startMailbox } from '../../scripts/local/mailbox/server.ts'
import { createMailer, type MailerOptions } from '../../src/adapters/mail.ts'
import { createOutbound } from '../../src/adapters/outbound.ts'
import { AppError, DependencyError } from '../../src/core/errors.ts'
import type { Mailer } from '../../src/core/mail.ts'
import { OutboundError } from '../../src/core/outbound.ts'
import { createDeps } from '../../src/deps.ts'
import { fakeSettings } from '../support/fake-deps.ts'
import { memoryLedger } from '../support/gateway-ledger.ts'

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()))
})

const token = 'token-of-the-mailbox'
const from = 'Helix <no-reply@helix.example>'
const invitation = { to: 'ada@example.com', subject: 'Grüße ✉', text: 'Hallo Ada,\n\nhttps://helix.example/join?t=1.' }

async function mailbox(): Promise<Mailbox> {
  const box = await startMailbox({ port: 0, token })
  closers.push(box.close)
  return box
}

/** A provider of the test's own making, and the requests that it got. */
async function provider(answer: RequestListener) {
  const keys: (string | string[] | undefined)[] = []
  const server = createServer((request, response) => {
    keys.push(request.headers['idempotency-key'])
    request.resume()
    answer(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closers.push(
    () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  )
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return { url: `http://127.0.0.1:${address.port}/emails`, keys }
}

const outboundTo = (...trustedOrigins: string[]) =>
  createOutbound({
    trustedOrigins,
    testOrigins: [],
    deniedHosts: [],
    dohUrl: 'http://127.0.0.1:1',
    fetch,
    now: Date.now,
  })

const mailerTo = (url: string, given: Partial<MailerOptions> = {}): Mailer =>
  createMailer({ url, apiKey: token, from, outbound: outboundTo(url), ...given })

async function failureOf(mailer: Mailer): Promise<unknown> {
  return mailer.send(invitation).then(
    () => undefined,
    (error: unknown) => error,
  )
}

/** Everything that a log of this error could show. */
function textOf(error: unknown): string {
  return error instanceof Error ? `${error.stack} ${JSON.stringify(error)} ${textOf(error.cause)}` : String(error)
}

describe('a mail', () => {
  it('arrives as it was written', async () => {
    const box = await mailbox()
    await mailerTo(`${box.url}/emails`).send(invitation)
    expect(await box.waitFor('ada@example.com', { timeoutMs: 5_000 })).toMatchObject({
      from,
      to: ['ada@example.com'],
      subject: invitation.subject,
      text: invitation.text,
      links: ['https://helix.example/join?t=1'],
    })
    expect(box.messages()[0]).not.toHaveProperty('html')
  })

  it('carries its HTML when it has some', async () => {
    const box = await mailbox()
    await mailerTo(box.url).send({ ...invitation, html: '<p>Hallo</p>' })
    expect(box.messages()).toMatchObject([{ html: '<p>Hallo</p>' }])
  })

  it('has a key of its own, so that the same text twice is two mails', async () => {
    const box = await mailbox()
    const mailer = mailerTo(box.url)
    await mailer.send(invitation)
    await mailer.send(invitation)
    expect(box.messages()).toHaveLength(2)
    const { url, keys } = await provider((_request, response) => response.end('{}'))
    await mailerTo(url).send(invitation)
    await mailerTo(url).send(invitation)
    expect(keys).toEqual([expect.stringMatching(/^[0-9a-f-]{36}$/), expect.stringMatching(/^[0-9a-f-]{36}$/)])
    expect(new Set(keys).size).toBe(2)
  })
})

describe('the gateway', () => {
  it('may reach the provider that its environment names', async () => {
    const box = await mailbox()
    const settings = { ...fakeSettings, mailUrl: `${box.url}/emails`, mailApiKey: token, mailFrom: from }
    const { mailer } = createDeps(settings, { LEDGER: memoryLedger() })
    await mailer.send(invitation)
    expect(box.messages()).toMatchObject([{ from, subject: invitation.subject }])
  })
})

describe('a mail that the provider does not take', () => {
  it('is a failed dependency when the key is wrong', async () => {
    const box = await mailbox()
    const error = await failureOf(mailerTo(box.url, { apiKey: 'another' }))
    expect(error).toBeInstanceOf(DependencyError)
    expect(error).toMatchObject({ dependency: 'mail', cause: { message: 'The mail provider answered 401.' } })
    expect(box.messages()).toEqual([])
  })

  it.each([302, 400, 422, 429, 500, 503])('is a failed dependency at status %i, and is sent once', async (status) => {
    const { url, keys } = await provider((_request, response) =>
      response.writeHead(status, { location: '/elsewhere' }).end(`{"message":"${invitation.to} is blocked"}`),
    )
    expect(await failureOf(mailerTo(url))).toMatchObject({ name: 'DependencyError', dependency: 'mail' })
    expect(keys).toHaveLength(1)
  })

  it('is a failed dependency when nobody listens, hangs up, or may not be called', async () => {
    const { url } = await provider((request) => request.socket.destroy())
    const failures = [mailerTo('http://127.0.0.1:1'), mailerTo(url), mailerTo(url, { outbound: outboundTo() })]
    expect(await Promise.all(failures.map(failureOf))).toEqual([
      expect.objectContaining({ dependency: 'mail', cause: expect.objectContaining({ fault: 'connect' }) }),
      expect.objectContaining({ dependency: 'mail', cause: expect.objectContaining({ fault: 'connect' }) }),
      expect.objectContaining({ dependency: 'mail', cause: expect.objectContaining({ fault: 'blocked' }) }),
    ])
  })

  it('has ten seconds', async () => {
    const asked: number[] = []
    const mailer = mailerTo('http://127.0.0.1:1', {
      outbound: async ({ headersTimeoutMs }) => {
        asked.push(headersTimeoutMs)
        throw new OutboundError('timeout', 'No response.')
      },
    })
    expect(await failureOf(mailer)).toMatchObject({ dependency: 'mail', cause: { fault: 'timeout' } })
    expect(asked).toEqual([10_000])
  })

  it('leaves neither address nor content nor key in the error', async () => {
    const { url } = await provider((_request, response) =>
      response.writeHead(422).end(JSON.stringify({ message: `${invitation.to}: ${invitation.text}` })),
    )
    const said = textOf(await failureOf(mailerTo(url)))
    expect(said).toContain('422')
    for (const secret of [invitation.to, 'join?t=1', invitation.subject, token]) expect(said).not.toContain(secret)
  })
})

describe('without a provider', () => {
  const nothing = { url: undefined, apiKey: undefined, from: undefined }

  it.each([
    [nothing, 'No mail provider is set up: set MAIL_URL, MAIL_API_KEY, MAIL_FROM.'],
    [{ ...nothing, url: 'https://mail.example' }, 'No mail provider is set up: set MAIL_API_KEY, MAIL_FROM.'],
    [{ ...nothing, apiKey: 'k', from }, 'No mail provider is set up: set MAIL_URL.'],
  ])('sending says what to set: %j', async (given, message) => {
    const error = await failureOf(createMailer({ ...given, outbound: outboundTo() }))
    expect(error).toBeInstanceOf(AppError)
    expect(error).toMatchObject({ code: 'configuration_error', message })
  })
})
