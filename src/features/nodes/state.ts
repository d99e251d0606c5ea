import { secondsOf } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { DependencyError } from '../../core/errors.ts'
import type { LookWanted, WatchTarget } from '../../core/gate.ts'
import { type NodeClass, type NodeState, nodeClasses } from '../../core/node.ts'
import { unseen } from '../gates/service.ts'
import { idOf, type Known } from './rows.ts'
import type { NodeView } from './schema.ts'
import { limitsOf, nodeSpecOf } from './spec.ts'

/** What was seen so long ago is shown as it was. */
const SHOWN_AGE_MS = 60_000

/** A node and what its watch knows. */
export type Seen = { known: Known; state: NodeState }

const watchOf = (known: Known): WatchTarget => {
  if (known.kind === 'shared') return 'shared'
  const { row, dataKeys } = known
  return { orgId: row.org_id, account: nodeSpecOf(row), dataKeys }
}

/** What is known of a node is `unknown` where its watch cannot be reached. */
export async function seen(
  { gateOf, log }: Pick<Ctx, 'gateOf' | 'log'>,
  known: Known,
  { maxAgeMs }: Pick<LookWanted, 'maxAgeMs'> = { maxAgeMs: SHOWN_AGE_MS },
): Promise<Seen> {
  try {
    return { known, state: await gateOf(idOf(known)).look({ target: watchOf(known), maxAgeMs }) }
  } catch (error) {
    if (!(error instanceof DependencyError)) throw error
    log.warn('node_watch_away', { node_id: idOf(known), cause: String(error.cause) })
    return { known, state: unseen({ inFlight: {}, waiting: 0 }) }
  }
}

const time = (ms: number | undefined): number | null => (ms === undefined ? null : secondsOf(ms))

export const stateView = ({ state }: Pick<Seen, 'state'>): NodeView['state'] => ({
  health: state.health,
  fault: state.fault ?? null,
  checked_at: time(state.checkedAtMs),
  last_seen_at: time(state.seenAtMs),
  version: state.version ?? null,
  latency_ms: state.latencyMs ?? null,
  speech_ok: state.speech?.ok ?? null,
  agent_ok: state.agent?.ok ?? null,
  agent_version: state.agent?.version ?? null,
  models: state.models.length,
})

export function loadView({ state: { inFlight, waiting, loaded, gpu } }: Pick<Seen, 'state'>): NodeView['load'] {
  const inside = (one: NodeClass): number => inFlight[one] ?? 0
  const [chat, embed, vision, audio, workflows] = nodeClasses
  return {
    in_flight: {
      [chat]: inside(chat),
      [embed]: inside(embed),
      [vision]: inside(vision),
      [audio]: inside(audio),
      [workflows]: inside(workflows),
    },
    waiting,
    loaded_models: loaded.map(({ name, vramMb, untilMs }) => ({ name, vram_mb: vramMb, until: time(untilMs) })),
    vram_mb: loaded.reduce((sum, { vramMb }) => sum + vramMb, 0),
    gpu: gpu
      ? {
          count: gpu.count,
          name: gpu.name,
          memory_mb: gpu.memoryMb,
          free_mb: gpu.freeMb,
          utilisation: gpu.utilisation ?? null,
        }
      : null,
  }
}

export const viewOf = (one: Seen): NodeView => ({
  ...rowView(one.known),
  state: stateView(one),
  load: loadView(one),
})

/** The row alone: what an organisation decides of its node, and no part of its credential. */
export function rowView(known: Known): Omit<NodeView, 'state' | 'load'> {
  if (known.kind === 'own') {
    const { org_id: _org, deleted_at: _deleted, credential: _sealed, dek_version: _version, ...row } = known.row
    return { ...row, object: 'node', is_shared: false, limits: limitsOf(row) }
  }
  const { name, link } = known
  return {
    id: link.id,
    object: 'node',
    name,
    is_shared: true,
    // Whose they are is the operator's to tell.
    base_url: null,
    speech_url: null,
    metrics_url: null,
    credential_hint: null,
    priority: 100,
    enabled: true,
    drain: link.isDraining,
    limits: link.limits,
    allowed_pulls: null,
    created_at: null,
    updated_at: null,
  }
}
