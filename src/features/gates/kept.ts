import type { NodeLook, WatchTarget } from '../../core/gate.ts'
import type { NodeFault, NodeState } from '../../core/node.ts'
import type { Exec } from './leases.ts'
import { NO_PULSE, type Pulse } from './pulse.ts'
import type { Memories } from './sight.ts'

/** A value of an object's storage has 2 MB, and a character up to three bytes. */
const MOST_CHARS = 600_000
const HISTORY_MS = 24 * 3_600_000

/** What outlives the object of what its watch knows. Times are Unix ms. */
export type Kept = {
  /** When somebody asked for the last time. */
  askedMs: number
  target: WatchTarget | undefined
  pulse: Pulse
  state: Omit<NodeState, 'inFlight' | 'waiting' | 'health'> | undefined
  memories: Memories
  /** Digests by model, as of the last list that somebody wanted anew; undefined before the first. */
  listed: Record<string, string> | undefined
  /** The node was deleted. Its id is never given to another. */
  isGone: boolean
}

export const NOTHING: Kept = {
  askedMs: 0,
  target: undefined,
  pulse: NO_PULSE,
  state: undefined,
  memories: {},
  listed: undefined,
  isGone: false,
}

/** The watch's part of an object's storage: what it knows, and a line for each look of the last day. */
export function createKept(exec: Exec) {
  exec('create table if not exists watch (id integer primary key, kept text not null)')
  exec(`create table if not exists looks (
    at_ms integer primary key, latency_ms integer, fault text, in_flight integer not null, waiting integer not null)`)

  return {
    /** What cannot be read is as if it were not there: the next look writes it anew. */
    read(): Kept {
      const [row] = exec('select kept from watch where id = 1')
      try {
        return row ? { ...NOTHING, ...(JSON.parse(String(row.kept)) as Kept) } : NOTHING
      } catch {
        return NOTHING
      }
    },

    /** What a node tells of itself is left out where it is too much: the next look asks it again. */
    write(kept: Kept): void {
      const whole = JSON.stringify(kept)
      const { askedMs, target, pulse, isGone } = kept
      const isTooLong = whole.length > MOST_CHARS
      exec(
        'insert into watch (id, kept) values (1, ?) on conflict (id) do update set kept = excluded.kept',
        isTooLong ? JSON.stringify({ ...NOTHING, askedMs, target, pulse, isGone }) : whole,
      )
    },

    note({ atMs, latencyMs, fault, inFlight, waiting }: NodeLook): void {
      exec(
        'insert or replace into looks (at_ms, latency_ms, fault, in_flight, waiting) values (?, ?, ?, ?, ?)',
        atMs,
        latencyMs ?? null,
        fault ?? null,
        inFlight,
        waiting,
      )
      exec('delete from looks where at_ms < ?', atMs - HISTORY_MS)
    },

    forgetLooks: (): void => void exec('delete from looks'),

    looks: (): NodeLook[] =>
      exec('select at_ms, latency_ms, fault, in_flight, waiting from looks order by at_ms').map((row) => ({
        atMs: Number(row.at_ms),
        latencyMs: row.latency_ms === null ? undefined : Number(row.latency_ms),
        fault: row.fault === null ? undefined : (String(row.fault) as NodeFault),
        inFlight: Number(row.in_flight),
        waiting: Number(row.waiting),
      })),
  }
}
