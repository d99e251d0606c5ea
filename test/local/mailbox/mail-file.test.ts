import { appendFile, chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Mailbox, startMailbox } from '../../../scripts/local/mailbox/server.ts'

const token = 'token-of-the-mailbox'
const open: Mailbox[] = []
let file: string
beforeEach(async () => {
  file = join(await mkdtemp(join(tmpdir(), 'helix-mailbox-')), 'mailbox.jsonl')
})
afterEach(async () => {
  await Promise.all(open.splice(0).map((box) => box.close()))
  await rm(join(file, '..'), { recursive: true, force: true })
})

async function start(): Promise<Mailbox> {
  const box = await startMailbox({ port: 0, token, file })
  open.push(box)
  return box
}

async function send(box: Mailbox, subject: string, extra: Record<string, string> = {}): Promise<void> {
  const body = JSON.stringify({
    from: 'a@h.example',
    to: 'ada@example.com',
    subject,
    text: 'http://h.example',
    ...extra,
  })
  const response = await fetch(box.url, { method: 'POST', headers: { authorization: `Bearer ${token}` }, body })
  expect(response.status).toBe(200)
}

const linesOf = async (): Promise<string[]> => (await readFile(file, 'utf8')).split('\n').filter(Boolean)
const modeOf = async (): Promise<number> => (await stat(file)).mode & 0o777

describe('the file of the mailbox', () => {
  it('has a line for every mail as soon as it is taken, for the user alone', async () => {
    const box = await start()
    await send(box, 'One')
    expect(await linesOf()).toHaveLength(1)
    await Promise.all([send(box, 'Two'), send(box, 'Three')])
    const subjects = (await linesOf()).map((line) => JSON.parse(line).subject)
    expect(subjects.sort()).toEqual(['One', 'Three', 'Two'])
    expect(await modeOf()).toBe(0o600)
  })

  it('brings the mails back after a restart, but nobody waits for those', async () => {
    const first = await start()
    await send(first, 'One', { html: '<p>' })
    await send(first, 'Two')
    const before = first.messages()
    await first.close()
    const second = await start()
    expect(second.messages()).toEqual(before)
    await send(second, 'Three')
    expect((await second.waitFor('ada@example.com', { timeoutMs: 5_000 })).subject).toBe('Three')
  })

  it('outlives a line that a crash cut off, and a mode that somebody widened', async () => {
    const first = await start()
    await send(first, 'One')
    await first.close()
    await appendFile(file, '{"id":"half')
    await chmod(file, 0o644)
    const second = await start()
    expect(await modeOf()).toBe(0o600)
    await send(second, 'Two')
    expect(second.messages().map(({ subject }) => subject)).toEqual(['Two', 'One'])
    expect(await linesOf()).toHaveLength(2)
  })

  it('is shortened to the mails that are kept', async () => {
    const line = (number: number) =>
      JSON.stringify({
        id: `${number}`,
        receivedAtMs: 0,
        from: 'a',
        to: ['b'],
        subject: `${number}`,
        text: '',
        links: [],
      })
    await writeFile(file, Array.from({ length: 230 }, (_, index) => `${line(index)}\n`).join(''))
    const box = await start()
    expect(await linesOf()).toHaveLength(200)
    expect([box.messages()[0]?.subject, box.messages().at(-1)?.subject]).toEqual(['229', '30'])
  })

  it('says so when it cannot be used', async () => {
    const options = { port: 0, token, file: join(file, '..') }
    await expect(startMailbox(options)).rejects.toThrow(`The mailbox cannot use ${options.file}: `)
  })
})
