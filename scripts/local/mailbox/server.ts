import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { openMailFile } from './mail-file.ts'
import { createRoutes } from './routes.ts'
import { createStore, KEPT_MAILS, type StoredMail } from './store.ts'

export type { StoredMail } from './store.ts'

const HOST = '127.0.0.1'

export type Mailbox = {
  /** `http://127.0.0.1:port`, without a trailing slash; mails are posted to `/emails` (or `/`) there. */
  url: string
  token: string
  /** The last 200, newest first. */
  messages(): readonly StoredMail[]
  /**
   * The oldest mail to this address that no earlier call of `waitFor` got, so that one call after another gets one mail
   * after another, whether they came before it or not. Rejects when none comes in time or the mailbox is closed.
   */
  waitFor(to: string, options: { timeoutMs: number }): Promise<StoredMail>
  /** Stops listening, drops every open connection and finishes the file; may be called again. */
  close(): Promise<void>
}

export type MailboxOptions = {
  /** 0 takes any free port. */
  port: number
  /** Bearer token that senders must have; whoever reads needs none. */
  token: string
  /** One mail a line, for the user alone; read at the start and shortened to the last 200. */
  file?: string
  /** Told one line about each mail, with the first link of its text. */
  log?: (line: string) => void
}

/**
 * A mail provider that delivers nothing: it takes what Resend's `POST /emails` takes and shows it at `GET /`, as JSON
 * at `GET /messages.json?to=…` and one by one at `GET /messages/:id`.
 *
 * @throws Error with one sentence when the port is taken or the file cannot be used.
 */
export async function startMailbox({ port, token, file: path, log = () => {} }: MailboxOptions): Promise<Mailbox> {
  if (token === '') throw new Error('The mailbox needs a token.')
  const file = path === undefined ? undefined : await openMailFile(path, KEPT_MAILS)
  const store = createStore(file?.mails)
  const server = createServer(createRoutes({ store, file, token, log }))
  const url = await listen(server, port)
  let closing: Promise<void> | undefined
  async function close(): Promise<void> {
    store.close()
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
    await file?.finished()
  }
  return {
    url,
    token,
    messages: () => [...store.messages()],
    waitFor: (to, { timeoutMs }) => store.waitFor(to, timeoutMs),
    close: () => {
      closing ??= close()
      return closing
    },
  }
}

async function listen(server: Server, port: number): Promise<string> {
  server.listen(port, HOST)
  try {
    await once(server, 'listening')
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new Error(`The mailbox cannot listen on port ${port}: ${why}.`)
  }
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The mailbox has no TCP address.')
  return `http://${HOST}:${address.port}`
}
