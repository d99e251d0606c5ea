import { type NodeClass, nodeClasses } from '../../core/node.ts'

type SqlValue = string | number | null

/** The synchronous SQLite of a Durable Object, or of a test. */
export type Exec = (statement: string, ...values: SqlValue[]) => Record<string, SqlValue>[]

export type Leases = ReturnType<typeof createLeases>

type Lease = {
  class: NodeClass
  untilMs: number
  /** What it counts as, once for all that have the same. */
  seat: string
}

/**
 * Who is behind the gate, for what, and until when (Unix ms) they may be. Kept in storage as well: a gate that is made
 * anew must not let twice as many in.
 */
export function createLeases(exec: Exec) {
  prepare(exec)
  const leases = new Map<string, Lease>()
  const seats = new Map<string, { class: NodeClass; holders: number }>()
  const counts = new Map<NodeClass, number>()

  const count = (of: NodeClass, change: 1 | -1): void => void counts.set(of, (counts.get(of) ?? 0) + change)

  const sit = ({ seat, class: of }: Lease): void => {
    const known = seats.get(seat)
    if (!known) count(of, 1)
    seats.set(seat, { class: known?.class ?? of, holders: (known?.holders ?? 0) + 1 })
  }

  const stand = ({ seat }: Lease): void => {
    const known = seats.get(seat)
    if (!known) return
    known.holders -= 1
    if (known.holders > 0) return
    seats.delete(seat)
    count(known.class, -1)
  }

  const keep = (ticket: string, lease: Lease): void => {
    sit(lease)
    const before = leases.get(ticket)
    if (before) stand(before)
    leases.set(ticket, lease)
  }

  for (const { ticket, class: of, until_ms: untilMs, seat } of exec(
    'select ticket, class, until_ms, seat from leases',
  )) {
    keep(String(ticket), { class: classOf(of), untilMs: Number(untilMs), seat: String(seat ?? ticket) })
  }

  const remove = (ticket: string): boolean => {
    const lease = leases.get(ticket)
    if (!lease) return false
    leases.delete(ticket)
    stand(lease)
    exec('delete from leases where ticket = ?', ticket)
    return true
  }

  const add = (ticket: string, lease: Lease): void => {
    keep(ticket, lease)
    exec(
      `insert into leases (ticket, class, until_ms, seat) values (?, ?, ?, ?)
       on conflict (ticket) do update set class = excluded.class, until_ms = excluded.until_ms, seat = excluded.seat`,
      ticket,
      lease.class,
      lease.untilMs,
      lease.seat,
    )
  }

  return {
    /** Places that are taken. */
    size: (): number => seats.size,
    sizeOf: (of: NodeClass): number => counts.get(of) ?? 0,
    has: (ticket: string): boolean => leases.has(ticket),
    hasSeat: (seat: string): boolean => seats.has(seat),
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
  exec('create table if not exists leases (ticket text primary key, until_ms integer not null)')
  const columns = exec('select name from pragma_table_info(?)', 'leases').map(({ name }) => name)
  if (!columns.includes('class')) exec("alter table leases add column class text default 'chat'")
  if (!columns.includes('seat')) exec('alter table leases add column seat text')
}

const classOf = (text: unknown): NodeClass => nodeClasses.find((name) => name === text) ?? 'chat'
