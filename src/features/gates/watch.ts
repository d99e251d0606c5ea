import type { Log } from '../../core/context.ts'
import type { Gate, Looked, WatchTarget } from '../../core/gate.ts'
import type { ModelChanges, NodeLink } from '../../core/node.ts'
import type { Occupancy } from './gate.ts'
import { createKept, type Kept, NOTHING } from './kept.ts'
import type { Exec } from './leases.ts'
import { probe } from './probe.ts'
import { pulseAfter } from './pulse.ts'
import { keyOf, lookAt, type Sight } from './sight.ts'
import { unseen } from './unseen.ts'

/** Nobody who asks means that nobody needs to know: an idle node is left alone. */
const WATCH_MS = 60 * 60_000
/** That somebody asked is written down no more often than that. */
const NOTE_ASKED_MS = 5 * 60_000
/** After a failure the next look comes sooner: three in a row have to fit into 90 seconds. */
const SOONER = 3
const SLOW_MS = 5000

export type WatchParts = {
  exec: Exec
  /** The one alarm of the object. */
  alarm: { currentMs: () => number | undefined; set: (atMs: number) => void }
  intervalMs: number
  /** Undefined for a node that is not there any more. */
  linkOf: (target: WatchTarget) => NodeLink | undefined
  /** Who is at the node now. */
  occupancy: () => Occupancy
  /** Goes on when nobody waits for it. */
  background: (work: Promise<void>) => void
  log: Log
  /** Unix milliseconds. */
  now: () => number
}

export type Watch = Pick<Gate, 'look' | 'history' | 'forget'> & { wake(): Promise<void> }

/**
 * The watch over one node, as the object of its gate runs it: every interval it looks at the node, for as long as
 * somebody has asked within the last hour.
 */
export function createWatch({ exec, alarm, intervalMs, linkOf, occupancy, background, log, now }: WatchParts): Watch {
  const store = createKept(exec)
  let kept = store.read()
  let notedAskedMs = kept.askedMs
  let link: NodeLink | undefined
  let isProbing = false
  let running: Promise<Sight | undefined> | undefined

  const keep = (change: Partial<Kept>): void => {
    kept = { ...kept, ...change }
    notedAskedMs = kept.askedMs
    store.write(kept)
  }

  const state = (): Looked => ({ ...unseen(occupancy()), ...kept.state, health: kept.pulse.health })

  /** What was known of the node at another address says nothing of this one. */
  const aim = (target: WatchTarget): void => {
    if (JSON.stringify(target) === JSON.stringify(kept.target)) return
    const isElsewhere = kept.target !== undefined && addressOf(target) !== addressOf(kept.target)
    link = undefined
    keep({
      target,
      ...(isElsewhere && { pulse: { ...kept.pulse, health: 'unknown' }, memories: {}, state: undefined }),
    })
  }

  const linked = (): NodeLink | undefined => {
    try {
      link ??= kept.target && linkOf(kept.target)
    } catch (cause) {
      log.error('node_not_linked', { cause: String(cause) })
    }
    return link
  }

  const lookNow = async (): Promise<Sight | undefined> => {
    const to = linked()
    if (!to) return undefined
    const sight = await lookAt(to, kept.memories, now)
    note(sight)
    return sight
  }

  /** Whoever wants to see the node while it is being looked at sees it with the others. */
  const lookOnce = (): Promise<Sight | undefined> => {
    running ??= lookNow().finally(() => {
      running = undefined
    })
    return running
  }

  const note = (sight: Sight): void => {
    if (kept.isGone) return
    const atMs = now()
    const { inFlight, waiting } = occupancy()
    const busy = Object.values(inFlight).reduce((sum, one) => sum + one, 0)
    const latencyMs = sight.ok ? sight.latencyMs : undefined
    const fault = sight.ok ? undefined : sight.fault
    store.note({ atMs, latencyMs, fault, inFlight: busy, waiting })
    const { health: before } = kept.pulse
    const pulse = pulseAfter(kept.pulse, foundIn(sight))
    if (sight.ok) {
      const { ok, memories, ...found } = sight
      keep({ pulse, memories, state: { ...found, checkedAtMs: atMs, seenAtMs: atMs, fault } })
    } else {
      const { inFlight: _inFlight, waiting: _waiting, health: _health, ...nothing } = unseen(occupancy())
      keep({ pulse, state: { ...nothing, ...kept.state, checkedAtMs: atMs, fault } })
    }
    if (before !== pulse.health) log.info('node_health_changed', { was: before, is: pulse.health, fault })
  }

  /** Models that nobody tells anything of are tried, one at a time and while nobody works at the node. */
  const probeOne = async (): Promise<void> => {
    if (isProbing) return
    const to = linked()
    const isIdle = Object.values(occupancy().inFlight).every((count) => count === 0)
    const model = kept.state?.models.find(
      ({ capabilitySource: source, server, name }) =>
        source === 'name' && server !== 'agent' && kept.memories[keyOf(server, name)]?.probed === undefined,
    )
    if (!to || !model || !isIdle) return
    isProbing = true
    const can = await probe(to, model).finally(() => {
      isProbing = false
    })
    if (kept.isGone) return
    const key = keyOf(model.server, model.name)
    const before = kept.memories[key] ?? { digest: model.digest, atMs: now() }
    keep({ memories: { ...kept.memories, [key]: { ...before, probed: { can } } } })
  }

  const changesNow = (): ModelChanges => {
    const digests = Object.fromEntries(
      (kept.state?.models ?? []).map(({ server, name, digest = '' }) => [keyOf(server, name), digest]),
    )
    const changes = changesOf(kept.listed ?? {}, digests)
    keep({ listed: digests })
    return changes
  }

  return {
    async look({ target, maxAgeMs }) {
      // Whoever still asks goes by an older policy: what it tells must not bring the credential back.
      if (kept.isGone) return unseen(occupancy())
      if (target !== undefined) aim(target)
      const askedMs = now()
      kept = { ...kept, askedMs }
      if (askedMs - notedAskedMs > NOTE_ASKED_MS) keep({})
      if (alarm.currentMs() === undefined && kept.target !== undefined) alarm.set(askedMs + intervalMs)
      if (maxAgeMs > 0 && askedMs - (kept.state?.checkedAtMs ?? 0) <= maxAgeMs) return state()
      const sight = await lookOnce()
      return maxAgeMs === 0 && sight?.ok ? { ...state(), changes: changesNow() } : state()
    },

    async history() {
      return store.looks()
    },

    async forget() {
      link = undefined
      keep({ ...NOTHING, isGone: true })
      store.forgetLooks()
    },

    /** What the alarm runs: the next alarm, and a look. */
    async wake() {
      if (kept.isGone) return
      const startedMs = now()
      if (startedMs - kept.askedMs >= WATCH_MS) {
        // Whoever asks next tells how the node is reached; until then nothing of it is needed here.
        link = undefined
        keep({ target: undefined })
        return
      }
      // First, so that nothing that goes wrong below ends the watch.
      alarm.set(startedMs + intervalMs)
      const sight = await lookOnce()
      const isChanging = sight !== undefined && (!sight.ok || kept.pulse.health === 'unhealthy')
      if (isChanging) alarm.set(Math.max(now(), startedMs + Math.ceil(intervalMs / SOONER)))
      else if (sight?.ok) background(probeOne())
    },
  }
}

const addressOf = (target: WatchTarget): string =>
  target === 'shared'
    ? target
    : [target.account.baseUrl, target.account.node?.speechUrl, target.account.node?.agentUrl].join(' ')

function foundIn(sight: Sight): 'all' | 'part' | 'nothing' {
  if (!sight.ok) return 'nothing'
  const isWhole = sight.speech?.ok !== false && sight.agent?.ok !== false
  return isWhole && sight.latencyMs <= SLOW_MS ? 'all' : 'part'
}

/** Names are without their server: whoever asks knows models by name. */
function changesOf(before: Readonly<Record<string, string>>, after: Readonly<Record<string, string>>): ModelChanges {
  const nameOf = (key: string): string => key.slice(key.indexOf(':') + 1)
  const keys = (record: object): string[] => Object.keys(record)
  return {
    added: keys(after)
      .filter((key) => !Object.hasOwn(before, key))
      .map(nameOf),
    removed: keys(before)
      .filter((key) => !Object.hasOwn(after, key))
      .map(nameOf),
    changed: keys(after)
      .filter((key) => Object.hasOwn(before, key) && before[key] !== after[key])
      .map(nameOf),
  }
}
