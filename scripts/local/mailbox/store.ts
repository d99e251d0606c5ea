import { failure } from './failure.ts'

/** Mails that stay; older ones are forgotten. */
export const KEPT_MAILS = 200
const KEPT_KEYS = 1_000

export type StoredMail = {
  id: string
  receivedAtMs: number
  from: string
  to: readonly string[]
  subject: string
  text: string
  html?: string
  /** The http(s) addresses in the text, in order. */
  links: readonly string[]
}

export type MailStore = {
  /** Newest first. */
  messages(): readonly StoredMail[]
  /** The id that a request with this key got, when its mail was the same. @throws MailboxFailure 409 when it was not */
  repeated(key: string, content: string): string | undefined
  add(mail: StoredMail, repeatable?: { key: string; content: string }): void
  /** The oldest mail to this address that no earlier call got; waits for one when there is none. */
  waitFor(to: string, timeoutMs: number): Promise<StoredMail>
  /** Ends everybody's waiting. */
  close(): void
}

type Waiter = { to: string; resolve(mail: StoredMail): void; reject(error: Error): void }

/** `Name <A@b.example>` → `a@b.example`, as mail systems in practice compare addresses. */
const bare = (address: string): string => (/<([^<>]*)>$/.exec(address)?.[1] ?? address).trim().toLowerCase()

export const isTo = (mail: StoredMail, address: string): boolean => mail.to.some((to) => bare(to) === bare(address))

export function createStore(earlier: readonly StoredMail[] = []): MailStore {
  const mails = earlier.toReversed().slice(0, KEPT_MAILS)
  const answered = new Map<string, { id: string; content: string }>()
  const waiters = new Set<Waiter>()
  /** Arrived, oldest first, and not handed to anybody who waits; those of earlier runs nobody waits for. */
  const waitable: StoredMail[] = []

  return {
    messages: () => mails,

    repeated(key, content) {
      const before = answered.get(key)
      if (before === undefined || before.content === content) return before?.id
      throw failure(409, 'invalid_idempotent_request', 'This Idempotency-Key was used for another mail.')
    },

    add(mail, repeatable) {
      mails.unshift(mail)
      mails.splice(KEPT_MAILS)
      if (repeatable !== undefined) remember(answered, repeatable.key, { id: mail.id, content: repeatable.content })
      const waiter = [...waiters].find(({ to }) => isTo(mail, to))
      if (waiter !== undefined) return waiter.resolve(mail)
      waitable.push(mail)
      if (waitable.length > KEPT_MAILS) waitable.shift()
    },

    waitFor(to, timeoutMs) {
      const index = waitable.findIndex((mail) => isTo(mail, to))
      const [mail] = index === -1 ? [] : waitable.splice(index, 1)
      return mail === undefined ? arrival(waiters, to, timeoutMs) : Promise.resolve(mail)
    },

    close() {
      for (const waiter of waiters)
        waiter.reject(new Error(`The mailbox was closed before a mail to ${waiter.to} came.`))
    },
  }
}

function remember<Value>(map: Map<string, Value>, key: string, value: Value): void {
  map.set(key, value)
  const [oldest] = map.keys()
  if (map.size > KEPT_KEYS && oldest !== undefined) map.delete(oldest)
}

function arrival(waiters: Set<Waiter>, to: string, timeoutMs: number): Promise<StoredMail> {
  const { promise, resolve, reject } = Promise.withResolvers<StoredMail>()
  const waiter: Waiter = {
    to,
    resolve: (mail) => end(() => resolve(mail)),
    reject: (error) => end(() => reject(error)),
  }
  const timer = setTimeout(() => waiter.reject(new Error(`No mail to ${to} within ${timeoutMs} ms.`)), timeoutMs)
  function end(settle: () => void): void {
    clearTimeout(timer)
    waiters.delete(waiter)
    settle()
  }
  waiters.add(waiter)
  return promise
}
