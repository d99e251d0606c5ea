import type { Gate, GateEntry } from '../../core/gate.ts'
import { LONGEST_WAIT_MS } from '../../core/queue.ts'
import { createWaitingRoom } from '../../core/waiting-room.ts'
import { createLeases, type Exec } from './leases.ts'

type Parts = {
  exec: Exec
  /** Unix milliseconds. */
  now: () => number
}

const IN = { ok: true } as const

/**
 * The gate before one node or account, as its Durable Object runs it. Who waits is of this life only: their callers wait
 * with them, and ask again if the object dies. Who is inside is stored.
 */
export function createGate({ exec, now }: Parts): Gate {
  const leases = createLeases(exec)
  let timer: ReturnType<typeof setTimeout> | undefined
  /** The last that was told: who waits goes by it, too. */
  let limit = 0

  const trySeat = ({ ticket, leaseMs }: GateEntry): typeof IN | undefined => {
    if (leases.size() >= limit && !leases.has(ticket)) return undefined
    leases.add(ticket, now() + leaseMs)
    return IN
  }
  const room = createWaitingRoom<GateEntry, typeof IN>({ now, trySeat })

  /** Places of those who never left are given to those who wait, and the next such place is awaited. */
  const serve = (): void => {
    leases.removeOver(now())
    room.serve()
    clearTimeout(timer)
    const nextMs = room.size() > 0 ? leases.nextOverMs() : undefined
    if (nextMs !== undefined) timer = setTimeout(serve, Math.max(1, nextMs - now()))
  }

  return {
    async enter(entry) {
      const { ticket, priority, waitMs } = entry
      limit = entry.limit
      room.withdraw(ticket)
      serve()
      const seated = trySeat(entry)
      if (seated) return seated
      const untilMs = now() + Math.min(waitMs, LONGEST_WAIT_MS)
      const entering = room.enter({ id: ticket, line: '', priority, untilMs, item: entry })
      serve()
      const answer = await entering
      return 'turnedAway' in answer ? { ok: false, retryAfterMs: answer.retryAfterMs } : answer
    },

    async leave(ticket) {
      room.withdraw(ticket)
      if (leases.remove(ticket)) serve()
    },
  }
}
