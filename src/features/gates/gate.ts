import type { Gate, GateEntry } from '../../core/gate.ts'
import { type NodeClass, type NodeLimits, nodeClasses } from '../../core/node.ts'
import { LONGEST_WAIT_MS, MOST_WAITING } from '../../core/queue.ts'
import { createWaitingRoom } from '../../core/waiting-room.ts'
import { createLeases, type Exec } from './leases.ts'

type Parts = {
  exec: Exec
  /** Unix milliseconds. */
  now: () => number
}

/** Who works at a node, and who waits for it. */
export type Occupancy = { inFlight: Partial<Record<NodeClass, number>>; waiting: number }

export type Places = Pick<Gate, 'enter' | 'renew' | 'leave'> & { occupancy(): Occupancy }

const IN = { ok: true } as const

/**
 * The gate before one node or account, as its Durable Object runs it. Who waits is of this life only: their callers wait
 * with them, and ask again if the object dies. Who is inside is stored. There is a place for a call where its class has
 * one and all classes together have one: a class at its bound keeps nobody else out, and where the bound of all is
 * reached the most urgent of any class is next.
 */
export function createGate({ exec, now }: Parts): Places {
  const leases = createLeases(exec)
  let timer: ReturnType<typeof setTimeout> | undefined
  /** The last that were told: who waits goes by them, too. */
  let limits: NodeLimits | undefined

  const hasPlace = ({ ticket, seat, class: of, limits: told }: GateEntry): boolean => {
    const { gpu_tasks: inAll, [of]: inClass } = limits ?? told
    if (leases.has(ticket) || (seat !== undefined && leases.hasSeat(seat))) return true
    return leases.sizeOf(of) < inClass && leases.size() < inAll
  }

  const trySeat = (entry: GateEntry): typeof IN | undefined => {
    if (!hasPlace(entry)) return undefined
    const { ticket, class: of, leaseMs, seat = ticket } = entry
    leases.add(ticket, { class: of, untilMs: now() + leaseMs, seat })
    return IN
  }
  const room = createWaitingRoom<GateEntry, typeof IN>({ now, trySeat, room: { mostInAll: MOST_WAITING } })

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
      const { ticket, class: line, priority, waitMs } = entry
      limits = entry.limits
      room.withdraw(ticket)
      serve()
      const seated = trySeat(entry)
      if (seated) return seated
      const untilMs = now() + Math.min(waitMs, LONGEST_WAIT_MS)
      const entering = room.enter({ id: ticket, line, priority, untilMs, item: entry })
      serve()
      const answer = await entering
      return 'turnedAway' in answer ? { ok: false, retryAfterMs: answer.retryAfterMs } : answer
    },

    async renew(ticket, leaseMs) {
      leases.removeOver(now())
      const isHeld = leases.renew(ticket, now() + leaseMs)
      serve()
      return isHeld
    },

    async leave(ticket) {
      room.withdraw(ticket)
      if (leases.remove(ticket)) serve()
    },

    occupancy() {
      leases.removeOver(now())
      const busy = nodeClasses.filter((of) => leases.sizeOf(of) > 0)
      return { inFlight: Object.fromEntries(busy.map((of) => [of, leases.sizeOf(of)])), waiting: room.size() }
    },
  }
}
