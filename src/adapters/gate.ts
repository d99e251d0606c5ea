import type { Gate } from '../core/gate.ts'
import { objectCall } from './object-call.ts'

/** The part of a Durable Object namespace that is used here. */
export type GateNamespace = { getByName(name: string): Gate }

/** A look asks one thing after the other, each with a timeout of its own. */
const LOOK_MS = 30_000

/** Gates behind their Durable Objects, by node or account. */
export function createGates(namespace: GateNamespace | undefined): (id: string) => Gate {
  const unbound = (): Promise<never> => Promise.reject(new Error('nothing is bound'))
  return (id) => ({
    enter: (entry) =>
      objectCall('gate', () => namespace?.getByName(id).enter(entry) ?? unbound(), { waitMs: entry.waitMs }),
    renew: (ticket, leaseMs) => objectCall('gate', () => namespace?.getByName(id).renew(ticket, leaseMs) ?? unbound()),
    leave: (ticket) => objectCall('gate', () => namespace?.getByName(id).leave(ticket) ?? unbound()),
    look: (wanted) => objectCall('gate', () => namespace?.getByName(id).look(wanted) ?? unbound(), { waitMs: LOOK_MS }),
    history: () => objectCall('gate', () => namespace?.getByName(id).history() ?? unbound()),
    forget: () => objectCall('gate', () => namespace?.getByName(id).forget() ?? unbound()),
  })
}
