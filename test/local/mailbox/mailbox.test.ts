import { request as httpRequest } from 'node:http'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Mailbox, startMailbox } from '../../../scripts/local/mailbox/server.ts'

const token = 'token-of-the-mailbox'
const mail = { from: 'Helix <a@helix.example>', to: ['ada@example.com'], subject: 'Hello', text: 'Hi Ada' }

let box: Mailbox
let logged: string[]
beforeEach(async () => {
  logged = []
  box = await startMailbox({ port: 0, token, log: (line) => logged.push(line) })
})
afterEach(() => box.close())

function post(body: unknown, headers: Record<string, string> = {}, path = '/emails'): Promise<Response> {
  return fetch(`${box.url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
}

const page = async (path = '/'): Promise<string> =>
  (await fetch(`${box.url}${path}`, { headers: { accept: 'text/html,*/*;q=0.8' } })).text()

describe('the mailbox takes a mail', () => {
  it.each(['/emails', '/'])('at %s and answers with its id', async (path) => {
    const response = await post(mail, {}, path)
    expect([response.status, await response.json()]).toEqual([200, { id: box.messages()[0]?.id }])
    expect(box.messages()).toMatchObject([mail])
  })

  it('and logs one line with its first link, which cannot steer a terminal', async () => {
    await post({ ...mail, subject: 'Sign \u001b[2Jin', text: 'Go to https://helix.example/in?t=a-b_c. Or http://x.y' })
    await post(mail)
    expect(logged).toEqual([
      'mail to ada@example.com: Sign  [2Jin https://helix.example/in?t=a-b_c',
      'mail to ada@example.com: Hello',
    ])
  })

  it('once for one idempotency key, and refuses the key for another mail', async () => {
    const headers = { 'idempotency-key': 'k1' }
    const [first, again] = [await post(mail, headers), await post(mail, headers)]
    expect(await again.json()).toEqual(await first.json())
    expect(box.messages()).toHaveLength(1)
    expect((await post({ ...mail, subject: 'Other' }, headers)).status).toBe(409)
    expect((await post({ ...mail, subject: 'Other' }, { 'idempotency-key': 'k2' })).status).toBe(200)
    expect(logged).toHaveLength(2)
  })

  it('and keeps the last 200, newest first', async () => {
    for (let number = 1; number <= 203; number++) await post({ ...mail, subject: `Mail ${number}` })
    expect(box.messages()).toHaveLength(200)
    expect(box.messages()[0]?.subject).toBe('Mail 203')
    expect(box.messages().at(-1)?.subject).toBe('Mail 4')
  })
})

describe('the mailbox refuses', () => {
  it.each([
    ['no token', {}, 'missing_api_key'],
    ['another token', { authorization: 'Bearer wrong' }, 'invalid_api_key'],
    ['another scheme', { authorization: token }, 'invalid_api_key'],
  ])('%s with 401', async (_what, headers, name) => {
    const response = await fetch(`${box.url}/emails`, { method: 'POST', headers, body: JSON.stringify(mail) })
    expect([response.status, await response.json()]).toEqual([
      401,
      { statusCode: 401, name, message: expect.any(String) },
    ])
    expect(box.messages()).toEqual([])
  })

  it.each([
    ['from', { from: 'nobody' }, 'must be an address or Name <address>'],
    ['from', { from: undefined }, 'is missing'],
    ['to', { to: [] }, 'must be an address, or a list of 1 to 50 of them'],
    ['to', { to: undefined }, 'is missing'],
    ['to.1', { to: ['a@b.example', 'x'] }, 'must be an address or Name <address>'],
    ['to', { to: 'a@b.example\r\nBcc: c@d.example' }, 'must be an address, or a list of 1 to 50 of them'],
    ['to', { to: 7 }, 'must be an address, or a list of 1 to 50 of them'],
    ['subject', { subject: 'Hi\nBcc: c@d.example' }, 'must be one line that says something'],
    ['subject', { subject: '' }, 'must be one line that says something'],
    ['text', { text: undefined }, 'is missing'],
    ['text', { text: 7 }, 'must be a text'],
    ['html', { html: ['<p>'] }, 'must be a text'],
  ])('a wrong %s with 400 that names it: %j', async (field, change, fault) => {
    const response = await post({ ...mail, ...change })
    const message = `The field ${field} ${fault}.`
    expect([response.status, await response.json()]).toEqual([
      400,
      { statusCode: 400, name: 'validation_error', message },
    ])
  })

  it.each(['', '{', '[]', '"text"', 'null'])('the body %j with 400', async (body) => {
    expect((await post(body)).status).toBe(400)
    expect(box.messages()).toEqual([])
  })

  it('a body above 1 MB with 413, and takes one just below it', async () => {
    const rest = JSON.stringify({ ...mail, text: '' }).length
    const limit = 1024 * 1024
    expect((await post({ ...mail, text: 'x'.repeat(limit - rest) })).status).toBe(200)
    expect((await post({ ...mail, text: 'x'.repeat(limit - rest + 1) })).status).toBe(413)
    expect(box.messages()).toHaveLength(1)
  })

  it('other paths and methods', async () => {
    expect((await fetch(`${box.url}/favicon.ico`)).status).toBe(404)
    expect((await fetch(`${box.url}/messages/none`)).status).toBe(404)
    const [wrong, deleted] = [await fetch(`${box.url}/emails`), await fetch(box.url, { method: 'DELETE' })]
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'POST'])
    expect([deleted.status, deleted.headers.get('allow')]).toEqual([405, 'GET, HEAD, POST'])
  })

  it('requests that came under a name of somebody else', async () => {
    await post(mail)
    const status = await new Promise((resolve, reject) => {
      const headers = { host: `evil.example:${new URL(box.url).port}` }
      httpRequest(`${box.url}/messages.json`, { headers }, (response) => resolve(response.resume().statusCode))
        .once('error', reject)
        .end()
    })
    expect(status).toBe(403)
  })

  it('an empty token of its own, which everybody would have', async () => {
    await expect(startMailbox({ port: 0, token: '' })).rejects.toThrow('needs a token')
  })

  it('a port that is taken, with a sentence', async () => {
    const port = Number(new URL(box.url).port)
    await expect(startMailbox({ port, token })).rejects.toThrow(`The mailbox cannot listen on port ${port}: `)
  })
})

describe('the page', () => {
  it('is plain, lets nothing run and looks for new mail by itself', async () => {
    const response = await fetch(box.url)
    const policy = response.headers.get('content-security-policy') ?? ''
    expect(policy).toMatch(/^default-src 'none'; style-src 'sha256-[\w+/]+='; base-uri 'none'; form-action 'none'/)
    expect(response.headers.get('cache-control')).toBe('no-store')
    const html = await response.text()
    expect(html).toContain('<meta http-equiv="refresh"')
    expect(html).toContain('No mail yet')
    expect(html).not.toContain('<script')
  })

  it('shows every part of a mail as text, whatever it carries', async () => {
    const evil = `<script>alert(1)</script>"'&`
    const shown = '&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;'
    await post({ ...mail, to: '"<i>" <x@y.example>' })
    expect((await page()).match(/<i>/)).toBeNull()
    await post({ ...mail, subject: `Subject ${evil}`, text: `Text ${evil}`, html: `HTML ${evil}` })
    for (const html of [await page(), await page(`/messages/${box.messages()[0]?.id}`)]) {
      expect(html).not.toContain('<script')
      expect(html).toContain(`Subject ${shown}`)
      expect(html).toContain(`Text ${shown}`)
    }
    expect(await page(`/messages/${box.messages()[0]?.id}`)).toContain(`HTML ${shown}`)
  })

  it('makes links of the addresses in a text, and nothing else', async () => {
    await post({ ...mail, text: 'See https://h.example/a?b=1&c="onclick=x javascript:alert(1) (http://x.example).' })
    const links = [...(await page()).matchAll(/<a href="([^"]*)" target/g)].map(([, href]) => href)
    expect(links).toEqual(['https://h.example/a?b=1&amp;c=', 'http://x.example'])
  })

  it('has the newest mail first', async () => {
    await post({ ...mail, subject: 'Older' })
    await post({ ...mail, subject: 'Newer' })
    const html = await page()
    expect(html.indexOf('Newer')).toBeGreaterThan(0)
    expect(html.indexOf('Newer')).toBeLessThan(html.indexOf('Older'))
  })
})

describe('as JSON', () => {
  it('all mails come, or those to one address', async () => {
    await post({ ...mail, text: 'https://h.example/x' })
    await post({ ...mail, to: 'Bob <Bob@Example.com>', html: '<p>' })
    const list = async (query: string) => (await fetch(`${box.url}/messages.json${query}`)).json()
    expect(await list('')).toMatchObject([{ to: ['Bob <Bob@Example.com>'], html: '<p>' }, { to: mail.to }])
    expect(await list('?to=bob@example.com')).toMatchObject([{ to: ['Bob <Bob@Example.com>'] }])
    expect(await list('?to=nobody@example.com')).toEqual([])
    expect(await list('?to=ada@example.com')).toEqual([
      {
        ...mail,
        id: expect.any(String),
        text: 'https://h.example/x',
        links: ['https://h.example/x'],
        received_at: expect.any(Number),
      },
    ])
  })

  it('one mail comes by its id', async () => {
    await post(mail)
    const id = box.messages()[0]?.id
    expect(await (await fetch(`${box.url}/messages/${id}`)).json()).toMatchObject({ id, ...mail })
  })
})

describe('waiting for a mail', () => {
  const wait = (to: string, timeoutMs = 10_000) => box.waitFor(to, { timeoutMs })

  it('ends when it comes, for the right address only', async () => {
    const waiting = wait('ada@example.com')
    await post({ ...mail, to: 'bob@example.com' })
    await post({ ...mail, to: 'Ada <ADA@example.com>', subject: 'Yours' })
    expect((await waiting).subject).toBe('Yours')
  })

  it('gives one mail after another, also those that came before', async () => {
    await post({ ...mail, subject: 'First' })
    await post({ ...mail, subject: 'Second' })
    expect((await wait('ada@example.com')).subject).toBe('First')
    expect((await wait('ada@example.com')).subject).toBe('Second')
    const both = [wait('ada@example.com'), wait('ada@example.com')]
    await post({ ...mail, subject: 'Third' })
    await post({ ...mail, subject: 'Fourth' })
    expect((await Promise.all(both)).map(({ subject }) => subject)).toEqual(['Third', 'Fourth'])
  })

  it('fails in time, and leaves the next mail to the next one', async () => {
    await expect(wait('ada@example.com', 1)).rejects.toThrow('No mail to ada@example.com within 1 ms.')
    await post(mail)
    expect((await wait('ada@example.com')).subject).toBe('Hello')
  })

  it('fails when the mailbox is closed, which may be done twice', async () => {
    const waiting = expect(wait('ada@example.com')).rejects.toThrow('closed before a mail to ada@example.com came')
    await Promise.all([box.close(), box.close()])
    await waiting
    await expect(fetch(box.url)).rejects.toThrow()
  })
})
