import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { startMailbox } from '../local/mailbox/server.ts'
import { isFree } from './ports.ts'
import type { Variables } from './variables.ts'

/** Where mails go in this run. */
export type MailChoice = {
  kind: 'mailbox' | 'provider'
  /** The mailbox's page, or the provider's origin. */
  url: string
  /** For the Workers, over the user's own. */
  variables: Variables
  close(): Promise<void>
}

export type MailWishes = {
  /** The user's own: MAIL_URL decides. */
  variables: Variables
  /** Keeps the mails over a restart. */
  folder: string
  /** Take the usual port when nobody else has it, so that a bookmark stays good. */
  fixedPort: boolean
  log: (line: string) => void
}

/** Where mail catchers usually show their mails. */
const USUAL_PORT = 8025
const SENDER = 'Helix <no-reply@localhost>'

/** The provider that the user names, else a mailbox on this machine. */
export async function chooseMail({ variables, folder, fixedPort, log }: MailWishes): Promise<MailChoice> {
  const { MAIL_URL: wanted, MAIL_FROM: from = SENDER } = variables
  if (wanted !== undefined) {
    // Without its path, which may hold a secret. What is no URL is refused with all other variables.
    return { kind: 'provider', url: URL.parse(wanted)?.origin ?? '', variables: {}, close: async () => {} }
  }
  const mailbox = await startMailbox({
    port: fixedPort && (await isFree(USUAL_PORT)) ? USUAL_PORT : 0,
    token: randomBytes(24).toString('hex'),
    file: join(folder, 'mailbox.jsonl'),
    log,
  })
  const own = { MAIL_URL: `${mailbox.url}/emails`, MAIL_API_KEY: mailbox.token, MAIL_FROM: from }
  return { kind: 'mailbox', url: mailbox.url, variables: own, close: mailbox.close }
}
