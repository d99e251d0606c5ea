import { describe, expect, it } from 'vitest'
import {
  addressChangeMail,
  mailLater,
  passwordChangedMail,
  resetMail,
  verificationMail,
} from '../../../src/features/auth/mails.ts'
import { keptLog } from '../../support/fake-deps.ts'

const person = { to: 'ada@example.com', username: 'ada' }
const link = { ...person, token: 'hxt_secret', issuer: 'https://gateway.example.com' }

describe('a mail', () => {
  it.each([
    ['verify-email', verificationMail(link)],
    ['reset-password', resetMail(link)],
  ])('with a token says what to send to %s', (path, mail) => {
    expect(mail.to).toBe('ada@example.com')
    expect(mail.subject).not.toContain('hxt_')
    expect(mail.text).toContain(`POST https://gateway.example.com/api/v1/auth/${path}\n`)
    expect(mail.text).toContain('"token": "hxt_secret"')
  })

  it.each([addressChangeMail(person), passwordChangedMail(person)])('that warns says what to do', ({ text }) => {
    expect(text).toContain('If it was not you')
  })

  it('that cannot be sent is logged without what it says', async () => {
    const { log, lines } = keptLog()
    const deferred: Promise<unknown>[] = []
    const mailer = { send: () => Promise.reject(new Error('the provider is away')) }
    mailLater({ mailer, log, requestId: 'req_1', defer: (work) => void deferred.push(work) }, resetMail(link))
    await Promise.all(deferred)
    expect(lines).toMatchObject([{ level: 'warn', event: 'mail_not_sent', facts: { request_id: 'req_1' } }])
    expect(JSON.stringify(lines)).not.toMatch(/hxt_|ada@/)
  })
})
