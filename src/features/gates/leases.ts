type SqlValue = string | number | null

/** The synchronous SQLite of a Durable Object, or of a test. */
export type Exec = (statement: string, ...values: SqlValue[]) => Record<string, SqlValue>[]

export type Leases = ReturnType<typeof createLeases>

/**
 * Who is behind the gate, and until when (Unix ms) they may be. Kept in storage as well: a gate that is made anew must
 * not let twice as many in.
 */
export function createLeases(exec: Exec) {
  exec('create table if not exists leases (ticket text primary key, until_ms integer not null)')
  const untilMs = new Map(
    exec('select ticket, until_ms from leases').map((row) => [String(row.ticket), Number(row.until_ms)]),
  )

  const remove = (ticket: string): boolean => {
    if (!untilMs.delete(ticket)) return false
    exec('delete from leases where ticket = ?', ticket)
    return true
  }

  return {
    size: (): number => untilMs.size,
    has: (ticket: string): boolean => untilMs.has(ticket),

    add(ticket: string, until: number): void {
      untilMs.set(ticket, until)
      exec(
        'insert into leases (ticket, until_ms) values (?, ?) on conflict (ticket) do update set until_ms = excluded.until_ms',
        ticket,
        until,
      )
    },

    /** False when nobody has that ticket. */
    remove,

    removeOver(nowMs: number): void {
      for (const [ticket, until] of untilMs) if (until <= nowMs) remove(ticket)
    },

    nextOverMs(): number | undefined {
      const next = Math.min(...untilMs.values())
      return Number.isFinite(next) ? next : undefined
    },
  }
}
