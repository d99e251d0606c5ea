import { type NodeClass, nodeClasses } from '../../core/node.ts'

type SqlValue = string | number | null

/** The synchronous SQLite of a Durable Object, or of a test. */
export type Exec = (statement: string, ...values: SqlValue[]) => Record<string, SqlValue>[]

export type Leases = ReturnType<typeof createLeases>

type Lease = { class: NodeClass; untilMs: number }

/**
 * Who is behind the gate, for what, and until when (Unix ms) they may be. Kept in storage as well: a gate that is made
 * anew must not let twice as many in.
 */
export function createLeases(exec: Exec) {
  prepare(exec)
  const leases = new Map<string, Lease>()
  const counts = new Map<NodeClass, number>()

  const count = (of: NodeClass, change: 1 | -1): void => void counts.set(of, (counts.get(of) ?? 0) + change)

  const keep = (ticket: string, lease: Lease): void => {
    const before = leases.get(ticket)
    if (before) count(before.class, -1)
    leases.set(ticket, lease)
    count(lease.class, 1)
  }

  for (const { ticket, class: of, until_ms: untilMs } of exec('select ticket, class, until_ms from leases')) {
    keep(String(ticket), { class: classOf(of), untilMs: Number(untilMs) })
  }

  const remove = (ticket: string): boolean => {
    const lease = leases.get(ticket)
    if (!lease) return false
    leases.delete(ticket)
    count(lease.class, -1)
    exec('delete from leases where ticket = ?', ticket)
    return true
  }

  const add = (ticket: string, lease: Lease): void => {
    keep(ticket, lease)
    exec(
      `insert into leases (ticket, class, until_ms) values (?, ?, ?)
       on conflict (ticket) do update set class = excluded.class, until_ms = excluded.until_ms`,
      ticket,
      lease.class,
      lease.untilMs,
    )
  }

  return {
    size: (): number => leases.size,
    sizeOf: (of: NodeClass): number => counts.get(of) ?? 0,
    has: (ticket: string): boolean => leases.has(ticket),
    add,

    /** False when nobody has that ticket. */
    remove,

    /** False when nobody has that ticket: a place that was given to another is not taken back. */
    renew(ticket: string, untilMs: number): boolean {
      const lease = leases.get(ticket)
      if (lease) add(ticket, { ...lease, untilMs })
      return lease !== undefined
    },

    removeOver(nowMs: number): void {
      for (const [ticket, { untilMs }] of leases) if (untilMs <= nowMs) remove(ticket)
    },

    nextOverMs(): number | undefined {
      const next = Math.min(...[...leases.values()].map(({ untilMs }) => untilMs))
      return Number.isFinite(next) ? next : undefined
    },
  }
}

/** An object that has lived for longer has leases of before there were classes: they were of chats. */
function prepare(exec: Exec): void {
  exec(
    "create table if not exists leases (ticket text primary key, until_ms integer not null, class text default 'chat')",
  )
  const hasClass = exec('select name from pragma_table_info(?)', 'leases').some(({ name }) => name === 'class')
  if (!hasClass) exec("alter table leases add column class text default 'chat'")
}

const classOf = (text: unknown): NodeClass => nodeClasses.find((name) => name === text) ?? 'chat'
