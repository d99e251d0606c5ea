import { AppError, DependencyError } from '../core/errors.ts'
import type { Mail, Mailer } from '../core/mail.ts'
import type { Outbound } from '../core/outbound.ts'

const ANSWER_TIMEOUT_MS = 10_000

export type MailerOptions = {
  /** Where mails are posted, whole: `https://api.resend.com/emails`. */
  url: string | undefined
  apiKey: string | undefined
  /** `Name <address>` or an address. */
  from: string | undefined
  outbound: Outbound
}

/**
 * A mailer over an HTTP provider that takes the body of Resend's `POST /emails`
 * (https://resend.com/docs/api-reference/emails/send-email). Each mail has an idempotency key of its own, so that a
 * request which is repeated on its way is not a second mail. Logs nothing, and no error of it names an address or
 * quotes the provider, whose answer may.
 */
export function createMailer({ url, apiKey, from, outbound }: MailerOptions): Mailer {
  return {
    async send(mail) {
      if (url === undefined || apiKey === undefined || from === undefined) throw notSetUp({ url, apiKey, from })
      const response = await outbound({
        url,
        purpose: 'vendor',
        method: 'POST',
        headers: {
          authorization: `Bearer ${apiKey}`,
          'content-type': 'application/json',
          'idempotency-key': crypto.randomUUID(),
        },
        body: JSON.stringify(bodyOf(mail, from)),
        headersTimeoutMs: ANSWER_TIMEOUT_MS,
      }).catch((error: unknown) => {
        throw new DependencyError('mail', error)
      })
      // Its status is the whole answer. An unread body would hold the connection.
      await response.body?.cancel().catch(() => {})
      if (!response.ok) throw new DependencyError('mail', new Error(`The mail provider answered ${response.status}.`))
    },
  }
}

const bodyOf = ({ to, subject, text, html }: Mail, from: string) => ({
  from,
  to: [to],
  subject,
  text,
  ...(html !== undefined && { html }),
})

function notSetUp({ url, apiKey, from }: Omit<MailerOptions, 'outbound'>): AppError {
  const missing = Object.entries({ MAIL_URL: url, MAIL_API_KEY: apiKey, MAIL_FROM: from })
    .filter(([, value]) => value === undefined)
    .map(([name]) => name)
  return new AppError('configuration_error', `No mail provider is set up: set ${missing.join(', ')}.`)
}
