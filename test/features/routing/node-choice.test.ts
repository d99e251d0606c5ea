import { describe, expect, it } from 'vitest'
import { DependencyError } from '../../../src/core/errors.ts'
import type { LookWanted } from '../../../src/core/gate.ts'
import type { Provider } from '../../../src/core/models.ts'
import { DEFAULT_NODE_LIMITS, type NodeState } from '../../../src/core/node.ts'
import { plan } from '../../../src/features/routing/named.ts'
import { wouldWait } from '../../../src/features/routing/node-choice.ts'
import { arrange } from '../../../src/features/routing/plan.ts'
import {
  learnNodes,
  listingOf,
  relearnNodes,
  stateOf,
  targetsFor,
  windowOf,
} from '../../../src/features/routing/service.ts'
import { fakeDeps, keptLog } from '../../support/fake-deps.ts'
import { idleGate } from '../../support/gateway.ts'
import { live, node, provider } from './world.ts'

const well: NodeState = {
  health: 'healthy',
  checkedAtMs: 1,
  seenAtMs: 1,
  fault: undefined,
  version: '1',
  latencyMs: 20,
  models: [
    {
      name: 'm:1b',
      server: 'ollama',
      capabilities: ['completion'],
      capabilitySource: 'show',
      sizeMb: 3000,
      contextLength: 4096,
    },
    { name: 'whisper', server: 'speech', capabilities: ['transcription'], capabilitySource: 'list' },
  ],
  loaded: [],
  gpu: undefined,
  speech: undefined,
  agent: undefined,
  inFlight: {},
  waiting: 0,
}

/** Nodes whose watches say what the test has them say, and a vendor behind them. */
function world(states: Record<string, Partial<NodeState> | 'away'>) {
  const asked: [string, LookWanted][] = []
  const listed: string[] = []
  const watched = (name: string): Provider => ({
    ...node(name, async () => {
      listed.push(name)
      return [{ name: 'm:1b' }]
    }),
    node: {
      id: `node_${name}`,
      isShared: true,
      endpoints: { baseUrl: 'https://x.test' },
      limits: DEFAULT_NODE_LIMITS,
      isDraining: false,
      watch: 'shared',
      send: () => Promise.reject(new Error('nobody asks')),
    },
  })
  const all = [...Object.keys(states).map(watched), provider('openai')]
  const { log } = keptLog()
  const deps = fakeDeps({
    providers: new Map(all.map((one) => [one.name, one])),
    log,
    gateOf: (id) => ({
      ...idleGate,
      look: async (wanted) => {
        asked.push([id, wanted])
        const state = states[id.slice('node_'.length)]
        if (state === undefined || state === 'away') throw new DependencyError('gate', new Error('away'))
        return { ...well, ...state }
      },
    }),
  })
  const targets = () => targetsFor(deps, live, { model: 'm:1b', kind: 'chat' }).targets
  return {
    deps,
    asked,
    listed,
    targets,
    names: () => targets().map(({ provider: { name } }) => name),
    nodeNamed: (name: string) => all.find((one) => one.name === name) as Provider,
  }
}

describe('what a node has', () => {
  it('is asked of its watch, and of the node itself only while the watch is away', async () => {
    const { deps, asked, listed, names, nodeNamed } = world({ one: {}, two: 'away' })
    await learnNodes(deps)
    expect(asked.map(([id]) => id)).toEqual(['node_one', 'node_two'])
    expect(asked[0]?.[1]).toMatchObject({ target: 'shared' })
    expect(listed).toEqual(['two'])
    expect(names()).toEqual(['one', 'two'])
    expect([stateOf(deps, nodeNamed('one'))?.version, stateOf(deps, nodeNamed('two'))]).toEqual(['1', undefined])
    expect(windowOf(deps, nodeNamed('one'), 'm:1b')).toBe(4096)
    expect(listingOf(deps, nodeNamed('one'))?.models.map(({ name }) => name)).toEqual(['m:1b'])
    await relearnNodes(deps, -1)
    expect(asked.at(-2)?.[1].maxAgeMs).toBe(1)
  })

  it('is nothing while the node did not answer its last look', async () => {
    const { deps, names } = world({
      one: { fault: 'tunnel_down', health: 'degraded' },
      two: { health: 'unhealthy' },
      three: {},
    })
    await learnNodes(deps)
    expect(names()).toEqual(['three'])
  })
})

describe('of nodes that have the model', () => {
  it.each([
    ['the healthier', { one: { health: 'degraded' }, two: {} }],
    ['the freer', { one: { inFlight: { vision: 2, chat: 1 }, waiting: 3 }, two: {} }],
    ['the quicker', { one: { latencyMs: 400 }, two: {} }],
    ['the one that has it loaded', { one: {}, two: { loaded: [{ name: 'm:1b', vramMb: 1, untilMs: undefined }] } }],
  ] as const)('%s comes first', async (_, states) => {
    const { deps, names } = world(states)
    await learnNodes(deps)
    expect(names()).toEqual(['two', 'one'])
  })

  it('those that are alike stay in their order', async () => {
    const { deps, names } = world({ one: {}, two: {}, three: {} })
    await learnNodes(deps)
    expect(names()).toEqual(['one', 'two', 'three'])
  })
})

describe('a node at which a call would wait for longer than it can', () => {
  const models = [{ ...well.models[0], name: 'm:1b', sizeMb: 200_000 }] as NodeState['models']

  it('has a long queue, or a model to load that takes too long', async () => {
    const { deps, targets } = world({
      busy: { waiting: 40 },
      cold: { models },
      warm: { models, loaded: [{ name: 'm:1b', vramMb: 1, untilMs: undefined }] },
      fine: { waiting: 4 },
    })
    await learnNodes(deps)
    const late = targets().filter((target) => wouldWait(deps, target))
    expect(late.map(({ provider: { name } }) => name).toSorted()).toEqual(['busy', 'cold'])
  })

  it('comes behind every other, and the decision says why; alone it is asked all the same', async () => {
    const { deps, targets } = world({ busy: {}, fine: {} })
    await learnNodes(deps)
    const standing = { openBreakers: new Map(), usedUp: undefined, states: undefined, nowMs: 1 }
    const isLate = (target: { provider: { name: string } }) => target.provider.name === 'busy'
    const made = plan({ ...standing, targets: targets(), model: 'm:1b', isLate })
    expect(made.targets.map(({ target: { id }, reason }) => [id, reason])).toEqual([
      ['fine/m:1b', 'explicit_choice'],
      ['busy/m:1b', 'would_wait'],
    ])
    const inputs = made.inputs
    if (!inputs) throw new Error('there are no inputs')
    expect(arrange(inputs).tried).toEqual(made.targets.map(({ target: { id }, reason }) => ({ id, reason })))
    const alone = plan({ ...standing, targets: targets(), model: 'm:1b', isLate: () => true })
    expect(alone.targets.map(({ reason }) => reason)).toEqual(['explicit_choice', 'fallback'])
    expect(arrange(alone.inputs ?? inputs).tried).toEqual(
      alone.targets.map(({ target: { id }, reason }) => ({ id, reason })),
    )
  })

  it('comes behind fallbacks whatever the strategy', () => {
    const options = [
      { id: 'a', would_wait: true as const, quality: 10 },
      { id: 'b', quality: 5 },
      { id: 'c', tier: 1 },
    ]
    const { tried } = arrange({ strategy: 'quality', options, most: 3, most_in_all: 6 })
    expect(tried).toEqual([
      { id: 'b', reason: 'quality_choice' },
      { id: 'c', reason: 'fallback' },
      { id: 'a', reason: 'would_wait' },
    ])
  })
})
