import type { Mail } from '../../core/mail.ts'

export type InvitationMail = {
  to: string
  orgName: string
  role: string
  token: string
  /** Our own origin: `https://gateway.example.com`. */
  issuer: string
  /** Unix seconds. */
  expiresAt: number
}

/** What an invited person reads: the token is nowhere else. */
export function invitationMail({ to, orgName, role, token, issuer, expiresAt }: InvitationMail): Mail {
  const org = oneLine(orgName)
  const until = new Date(expiresAt * 1000).toISOString().slice(0, 16).replace('T', ' ')
  const text = [
    `You are invited to join "${org}" on Helix as ${role}.`,
    '',
    'Accept by sending this, with a username and a password of your choice:',
    '',
    `  POST ${issuer}/api/v1/invitations/accept`,
    `  {"token": "${token}", "username": "…", "password": "…"}`,
    '',
    'If you have an account with this address already, send its username and password instead.',
    '',
    `The invitation can be used once, until ${until} UTC.`,
    'If you did not expect it, ignore this mail: nothing happens without you.',
  ].join('\n')
  return { to, subject: `Join ${org} on Helix`, text }
}

/** Whoever names an organisation must not write headers or further lines of a mail. */
const oneLine = (text: string): string => text.replace(/[\p{C}\s]+/gu, ' ').trim()
