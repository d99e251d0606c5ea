import * as z from 'zod'
import type { Ctx } from '../../core/context.ts'
import { AppError, unfit } from '../../core/errors.ts'
import type { NodeModel } from '../../core/node.ts'
import { askNode, jsonQuestion, loadAhead, passGate } from '../gates/service.ts'
import { refusedBy } from './fault.ts'
import { noSuchModel, seenNode } from './fleet.ts'
import { noteModelAct, type OwnNode, ownNodes } from './pull.ts'

/** A large model takes minutes to be loaded. */
const LOAD_MS = 240_000
/** One that embeds is small, and a tunnel is silent for no longer. */
const SMALL_MS = 95_000
const SHORT_MS = 15_000
const BYTES_PER_MB = 1_000_000

export type ModelState = {
  name: string
  node: string
  node_id: string
  is_available: boolean
  loaded: boolean
  vram_mb: number | null
  /** Unix seconds. */
  until: number | null
}

export type Meant = { name: string; node_id?: string | undefined }

/** Has a model loaded, so that the next call does not wait for it. Throws 404, and what the node says. */
export async function loadModel(ctx: Ctx, { keep_alive, ...meant }: Meant & { keep_alive: string | number }) {
  const [there] = await whereIs(ctx, meant)
  if (!there) throw noSuchModel(meant.name)
  return doing(ctx, there, () => load(ctx, there, keep_alive))
}

/** Waits in line as a call does, and for as long as it takes; how long it stays is said once it is there. */
async function load(ctx: Ctx, { node, model }: There, keepAlive: string | number): Promise<void> {
  const { provider, link } = node
  const signal = AbortSignal.any([ctx.signal, AbortSignal.timeout(LOAD_MS)])
  const waiting = { provider, leftMs: LOAD_MS, waits: true, signal }
  const body = { model: model.name, keep_alive: keepAlive, stream: false }
  const ask = (path: '/api/generate' | '/api/embed', more: object, timeoutMs: number) =>
    askNode(
      link,
      { server: 'ollama', method: 'POST', path, ...jsonQuestion({ ...body, ...more }), timeoutMs, signal },
      Any,
    )
  if (model.capabilities.includes('completion')) {
    await loadAhead(ctx, { ...waiting, work: { class: 'chat' }, node: link, model: model.name })
    await ask('/api/generate', {}, SHORT_MS)
    return
  }
  const leave = await passGate(ctx, { ...waiting, work: { class: 'embed' } })
  try {
    await ask('/api/embed', { input: [] }, SMALL_MS)
  } finally {
    leave()
  }
}

/** Has a model leave the memory of the cards once its calls are over. */
export async function unloadModel(ctx: Ctx, meant: Meant): Promise<ModelState> {
  const there = await theOne(ctx, meant)
  const body = jsonQuestion({ model: there.model.name, keep_alive: 0, stream: false })
  return doing(ctx, there, async () => {
    const question = { server: 'ollama', method: 'POST', path: '/api/generate', timeoutMs: SHORT_MS } as const
    await askNode(there.node.link, { ...question, ...body }, Any)
  })
}

/** Has a node forget a model, its files included. */
export async function deleteModel(ctx: Ctx, meant: Meant): Promise<ModelState> {
  const there = await theOne(ctx, meant)
  const { node, model } = there
  const state = await doing(ctx, there, async () => {
    const response = await node.link.send({
      server: 'ollama',
      method: 'DELETE',
      path: '/api/delete',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: model.name }),
      signal: ctx.signal,
      headersTimeoutMs: SHORT_MS,
    })
    await response.body?.cancel()
    if (response.status === 404) throw noSuchModel(model.name)
    if (!response.ok) throw new AppError('provider_error', `${node.provider.name} did not delete it.`)
  })
  await noteModelAct(ctx, { action: 'model.delete', nodeId: node.link.id, model: model.name })
  return { ...state, is_available: false, loaded: false, vram_mb: null, until: null }
}

const Any = z.looseObject({})

type There = { node: OwnNode; model: NodeModel }

/** The caller's own nodes that have a model on their Ollama, in order of preference. */
async function whereIs(ctx: Ctx, { name, node_id }: Meant): Promise<There[]> {
  const seen = await Promise.all(ownNodes(ctx, node_id).map((node) => seenNode(ctx, node, 1)))
  return seen.flatMap(({ provider, link, state }) => {
    const bare = name.startsWith(`${provider.name}/`) ? name.slice(provider.name.length + 1) : name
    const names = [name, bare].flatMap((one) => [one, `${one}:latest`])
    const model = state.models.find((one) => one.server === 'ollama' && names.includes(one.name))
    return model ? [{ node: { provider, link }, model }] : []
  })
}

/** What is taken away is not taken away somewhere. */
async function theOne(ctx: Ctx, meant: Meant): Promise<There> {
  const [there, another] = await whereIs(ctx, meant)
  if (!there) throw noSuchModel(meant.name)
  if (another) throw unfit('node_id', 'several nodes have the model')
  return there
}

const Running = z.looseObject({
  models: z.array(
    z.looseObject({ name: z.string(), size_vram: z.number().optional(), expires_at: z.string().optional() }),
  ),
})

/** What a model is like after something was done to it; the watch looks again, too. */
async function doing(ctx: Ctx, { node, model }: There, work: () => Promise<void>): Promise<ModelState> {
  const { provider, link } = node
  try {
    await work()
    const question = { server: 'ollama', method: 'GET', path: '/api/ps', timeoutMs: SHORT_MS } as const
    const { models } = await askNode(link, question, Running)
    const running = models.find(({ name }) => name === model.name)
    const untilMs = Date.parse(running?.expires_at ?? '')
    return {
      name: model.name,
      node: provider.name,
      node_id: link.id,
      is_available: true,
      loaded: running !== undefined,
      vram_mb: running ? Math.round((running.size_vram ?? 0) / BYTES_PER_MB) : null,
      until: Number.isFinite(untilMs) && untilMs > 0 ? Math.floor(untilMs / 1000) : null,
    }
  } catch (error) {
    throw error instanceof AppError ? error : refusedBy(provider.name, error)
  } finally {
    ctx.defer(seenNode(ctx, node, 1))
  }
}
