import { type CapabilityEvidence, capabilitiesOf } from '../../core/capabilities.ts'
import type { LoadedModel, NodeCapability, NodeFault, NodeGpu, NodeModel } from '../../core/node.ts'
import { askNode, jsonQuestion, type Link, NodeSilence } from './question.ts'
import { Listed, Metrics, Running, Shown, type Tagged, Tags, Version } from './wire.ts'

const TIMEOUT_MS = 8000
/** What a model can do is asked again after so long, and whenever its digest is another. */
const SHOWN_FRESH_MS = 3_600_000
/** So many side by side, and no more of them at one look. */
const SHOW_BATCH = 4
const MOST_SHOWN = 60
const BYTES_PER_MB = 1_000_000
/** No context and no vector is longer. */
const MOST_TOKENS = 1e9
const MOST_TELLING = 16

/** What is remembered of a model from one look to the next. Plain data. */
export type Remembered = {
  digest: string | undefined
  atMs: number
  shown?: readonly string[] | undefined
  /** Of `model_info`, what says something of what the model can do. */
  info?: Record<string, string | number | boolean> | undefined
  contextLength?: number | undefined
  embeddingLength?: number | undefined
  /** It was tried; `can` is absent when that told nothing. */
  probed?: { can?: readonly NodeCapability[] | undefined } | undefined
}
export type Memories = Readonly<Record<string, Remembered>>

/** What one look at a node has found. */
export type Sight =
  | { ok: false; fault: NodeFault }
  | {
      ok: true
      latencyMs: number
      version: string | undefined
      models: readonly NodeModel[]
      loaded: readonly LoadedModel[]
      gpu: NodeGpu | undefined
      speech: { ok: boolean } | undefined
      agent: { ok: boolean; version: string | undefined } | undefined
      memories: Memories
    }

/** Looks at a node: whether it is there, what it has, and what of it is loaded. Its Ollama has to answer; the others may be away. */
export async function lookAt(link: Link, memories: Memories, now: () => number): Promise<Sight> {
  const startedMs = now()
  const ask = <T>(server: 'ollama' | 'speech' | 'agent', path: string, shape: Parameters<typeof askNode<T>>[2]) =>
    askNode(link, { server, method: 'GET', path, timeoutMs: TIMEOUT_MS }, shape)
  const { speechUrl, agentUrl } = link.endpoints
  const orNothing = (): undefined => undefined
  const [tags, version, running, spoken, metrics, measured] = await Promise.all([
    ask('ollama', '/api/tags', Tags).then(
      ({ models }) => ({ models, latencyMs: Math.max(0, now() - startedMs) }),
      (error: unknown) => (error instanceof NodeSilence ? error.fault : 'bad_output'),
    ),
    ask('ollama', '/api/version', Version).catch(orNothing),
    ask('ollama', '/api/ps', Running).catch(orNothing),
    speechUrl === undefined ? undefined : ask('speech', '/v1/models', Listed).catch(orNothing),
    agentUrl === undefined ? undefined : ask('agent', '/metrics', Metrics).catch(orNothing),
    agentUrl === undefined ? undefined : ask('agent', '/v1/models', Listed).catch(orNothing),
  ])
  if (typeof tags === 'string') return { ok: false, fault: tags }
  const tagged = once(tags.models, ({ name }) => name)
  const told = await remember(link, { tagged, memories, now })
  const kept = (key: string): Remembered | undefined => told[key] ?? memories[key]
  const models = [
    ...tagged.map((one) => ofOllama(one, told[keyOf('ollama', one.name)])),
    ...once(spoken?.data ?? [], ({ id }) => id).map((one) => ofList('speech', one, kept(keyOf('speech', one.id)))),
    ...once(measured?.data ?? [], ({ id }) => id).map((one) => ofList('agent', one, kept(keyOf('agent', one.id)))),
  ]
  const present = new Set(models.map(({ server, name }) => keyOf(server, name)))
  return {
    ok: true,
    latencyMs: tags.latencyMs,
    version: version?.version,
    models,
    loaded: once(running?.models ?? [], ({ name }) => name).map(
      ({ name, size_vram: bytes = 0, expires_at: until }) => ({
        name,
        vramMb: Math.round(bytes / BYTES_PER_MB),
        untilMs: timeOf(until),
      }),
    ),
    gpu: metrics && gpuOf(metrics.gpus),
    speech: speechUrl === undefined ? undefined : { ok: spoken !== undefined },
    agent:
      agentUrl === undefined
        ? undefined
        : { ok: metrics !== undefined && measured !== undefined, version: metrics?.version },
    memories: Object.fromEntries(Object.entries({ ...memories, ...told }).filter(([key]) => present.has(key))),
  }
}

/** The first of each name: a list that has one twice has it once. */
const once = <T>(list: readonly T[], nameOf: (one: T) => string): T[] =>
  [...new Map(list.toReversed().map((one) => [nameOf(one), one])).values()].reverse()

/** Models of two servers may have one name. */
export const keyOf = (server: NodeModel['server'], name: string): string => `${server}:${name}`

type Remembering = { tagged: readonly Tagged[]; memories: Memories; now: () => number }

/** What is known of Ollama's models, those shown anew that are new, changed, or were shown long ago. */
async function remember(link: Link, { tagged, memories, now }: Remembering): Promise<Record<string, Remembered>> {
  const told: Record<string, Remembered> = {}
  const due: Tagged[] = []
  for (const one of tagged) {
    const key = keyOf('ollama', one.name)
    const before = memories[key]
    const isSame = before !== undefined && before.digest === one.digest
    if (isSame) told[key] = before
    if (!isSame || now() - before.atMs > SHOWN_FRESH_MS) due.push(one)
  }
  for (let start = 0; start < Math.min(due.length, MOST_SHOWN); start += SHOW_BATCH) {
    const batch = due.slice(start, Math.min(start + SHOW_BATCH, MOST_SHOWN))
    const shown = await Promise.all(batch.map((one) => show(link, one.name)))
    for (const [at, { name, digest }] of batch.entries()) {
      const key = keyOf('ollama', name)
      const found = shown[at]
      if (found) told[key] = { ...found, digest, atMs: now(), probed: told[key]?.probed }
    }
  }
  return told
}

/** A model that cannot be shown is still there; only what it can do stays unknown, and is asked again. */
async function show(link: Link, model: string): Promise<Omit<Remembered, 'digest' | 'atMs'> | undefined> {
  const question = { server: 'ollama', method: 'POST', path: '/api/show', timeoutMs: TIMEOUT_MS } as const
  const shown = await askNode(link, { ...question, ...jsonQuestion({ model }) }, Shown).catch(() => undefined)
  if (!shown) return undefined
  const { capabilities, model_info: info = {} } = shown
  const figureOf = (end: string): number | undefined => {
    const value = Object.entries(info).find(([key]) => key.endsWith(end))?.[1]
    return typeof value === 'number' && value > 0 && value <= MOST_TOKENS ? Math.floor(value) : undefined
  }
  return {
    shown: capabilities,
    info: tellingOf(info),
    contextLength: figureOf('.context_length'),
    embeddingLength: figureOf('.embedding_length'),
  }
}

const TELLING = /^general\.architecture$|\.pooling_type$|\.vision\.block_count$|^clip\.has_vision_encoder$/

function tellingOf(info: Readonly<Record<string, unknown>>): Remembered['info'] {
  const telling: NonNullable<Remembered['info']> = {}
  for (const [key, value] of Object.entries(info)) {
    const isPlain = typeof value === 'number' || typeof value === 'boolean' || typeof value === 'string'
    if (Object.keys(telling).length >= MOST_TELLING) break
    if (isPlain && key.length <= 64 && String(value).length <= 64 && TELLING.test(key)) telling[key] = value
  }
  return telling
}

function ofOllama(tagged: Tagged, known: Remembered | undefined): NodeModel {
  const { name, digest, size, modified_at: modifiedAt, capabilities: listed, details } = tagged
  return {
    name,
    server: 'ollama',
    digest,
    family: details?.family,
    parameterSize: details?.parameter_size,
    quantization: details?.quantization_level,
    sizeMb: size === undefined ? undefined : Math.round(size / BYTES_PER_MB),
    contextLength: known?.contextLength ?? details?.context_length,
    embeddingLength: known?.embeddingLength,
    ...capable({ name, server: 'ollama', shown: known?.shown, modelInfo: known?.info, listed }, known),
    modifiedAt: secondsOf(modifiedAt),
  }
}

type ListedOne = { id: string; task?: string | undefined; created?: number | undefined }

const ofList = (server: 'speech' | 'agent', { id, task, created }: ListedOne, known: Remembered | undefined) => ({
  name: id,
  server,
  ...capable({ name: id, server, task }, known),
  modifiedAt: created === undefined ? undefined : Math.floor(created),
})

function capable(evidence: CapabilityEvidence, known: Remembered | undefined) {
  const { capabilities, source } = capabilitiesOf({ ...evidence, probed: known?.probed?.can })
  return { capabilities, capabilitySource: source }
}

/** All cards together: what fits is a matter of their sum. */
function gpuOf(gpus: readonly { name?: string | undefined; [figure: string]: unknown }[]): NodeGpu | undefined {
  const [first] = gpus
  if (!first) return undefined
  const figures = (key: string): number[] => gpus.map((gpu) => (typeof gpu[key] === 'number' ? gpu[key] : 0))
  const sum = (key: string): number => figures(key).reduce((total, one) => total + one, 0)
  const memoryMb = Math.round(sum('memory_mb'))
  const utilisation = gpus.some((gpu) => gpu.utilisation !== undefined) ? sum('utilisation') / gpus.length : undefined
  return {
    count: gpus.length,
    name: first.name ?? 'unknown',
    memoryMb,
    freeMb: Math.min(memoryMb, Math.round(sum('free_mb'))),
    utilisation,
  }
}

function timeOf(text: string | undefined): number | undefined {
  const ms = Date.parse(text ?? '')
  return Number.isFinite(ms) ? ms : undefined
}

function secondsOf(text: string | undefined): number | undefined {
  const ms = timeOf(text)
  return ms === undefined || ms < 0 ? undefined : Math.floor(ms / 1000)
}
