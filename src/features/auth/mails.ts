import type { Ctx } from '../../core/context.ts'
import type { Mail } from '../../core/mail.ts'

type Addressee = { to: string; username: string }
type WithToken = Addressee & {
  token: string
  /** Our own origin: `https://gateway.example.com`. */
  issuer: string
}

/** Confirms that an address is its person's. */
export function verificationMail({ to, username, token, issuer }: WithToken): Mail {
  const text = [
    `Hello ${username},`,
    '',
    'please confirm that this is your address. Send this within a day:',
    '',
    `  POST ${issuer}/api/v1/auth/verify-email`,
    `  {"token": "${token}"}`,
    '',
    'If you have no account on Helix and did not ask for this, ignore this mail.',
  ].join('\n')
  return { to, subject: 'Confirm your address for Helix', text }
}

/** Lets somebody who cannot sign in choose another password. */
export function resetMail({ to, username, token, issuer }: WithToken): Mail {
  const text = [
    `Hello ${username},`,
    '',
    'someone, hopefully you, asked to set a new password for your account. Send this within 30 minutes:',
    '',
    `  POST ${issuer}/api/v1/auth/reset-password`,
    `  {"token": "${token}", "new_password": "…"}`,
    '',
    'It ends every session of yours. If it was not you, ignore this mail: your password stays as it is.',
  ].join('\n')
  return { to, subject: 'Set a new password for Helix', text }
}

/** To the old address: a change that its owner did not ask for must not go unseen. */
export function addressChangeMail({ to, username }: Addressee): Mail {
  const text = [
    `Hello ${username},`,
    '',
    'someone, hopefully you, asked to use another address for your account from now on. This one stays in use until',
    'the other is confirmed.',
    '',
    'If it was not you, change your password now: that ends every other session.',
  ].join('\n')
  return { to, subject: 'Your address for Helix is about to change', text }
}

/** The same for a new password. */
export function passwordChangedMail({ to, username }: Addressee): Mail {
  const text = [
    `Hello ${username},`,
    '',
    'the password of your account was changed, and other sessions of yours have ended.',
    '',
    'If it was not you, ask for another one (POST /api/v1/auth/forgot-password), and tell the owners of your organisation.',
  ].join('\n')
  return { to, subject: 'Your password for Helix was changed', text }
}

/** Sends a mail after the reply. That it could not be sent is logged, without what it says. */
export function mailLater(
  { mailer, log, defer, requestId }: Pick<Ctx, 'mailer' | 'log' | 'defer' | 'requestId'>,
  mail: Mail,
): void {
  const report = (error: unknown) =>
    log.warn('mail_not_sent', {
      request_id: requestId,
      subject: mail.subject,
      cause: error instanceof Error ? error.message : 'unknown',
    })
  defer(mailer.send(mail).catch(report))
}
