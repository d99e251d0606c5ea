import { UpstreamError } from '../../core/models.ts'
import type { NodeLink } from '../../core/node.ts'
import { OutboundError } from '../../core/outbound.ts'
import { type Passing, passGate } from './pass.ts'
import { askNode, jsonQuestion, NodeSilence } from './question.ts'
import { Generated, Running } from './wire.ts'

/** A tunnel gives up after 100 seconds without a byte; a load that may take longer is not waited for in a question. */
export const LONG_LOAD_MS = 60_000
/** Below the tunnel's own limit, so that it is us who ask again. */
const LOAD_TIMEOUT_MS = 95_000
const POLL_MS = 2000
const POLL_TIMEOUT_MS = 8000
const KEEP_ALIVE = '10m'

type World = Parameters<typeof passGate>[0]

/**
 * Has a node load a model before it is asked anything, and waits until that is in memory: no question is silent for so
 * long that the tunnel takes it for dead. All calls that want the model share one place meanwhile, so that those of
 * other models go on. Throws `UpstreamError` for a model that cannot be loaded, or not in the time that is left.
 */
export async function loadAhead(world: World, passing: Passing & { node: NodeLink; model: string }): Promise<void> {
  const { node, model, leftMs, signal } = passing
  const untilMs = world.now() + leftMs
  const leave = await passGate(world, { ...passing, seat: `load ${model}` })
  const ended = new AbortController()
  const both = AbortSignal.any([signal, ended.signal])
  const leftNow = (): number => untilMs - world.now()
  try {
    if (await isLoaded(node, model, both)) return
    while (leftNow() > 0 && !signal.aborted) {
      const loading = load(node, model, { signal: both, leftMs: leftNow() })
      if (await Promise.race([loading, watchLoading(node, model, both)])) return
      await pause(POLL_MS, both)
    }
    signal.throwIfAborted()
    throw new UpstreamError('timeout', `The model '${model}' was not loaded in time.`)
  } catch (error) {
    if (signal.aborted) throw new UpstreamError('aborted', 'The caller left while the model was being loaded.')
    throw asUpstream(error)
  } finally {
    ended.abort()
    leave()
  }
}

type Loading = { signal: AbortSignal; leftMs: number }

/** An empty request loads a model and answers when it is there; false where nothing came in time. */
async function load(node: NodeLink, model: string, { signal, leftMs }: Loading): Promise<boolean> {
  const timeoutMs = Math.max(1, Math.min(LOAD_TIMEOUT_MS, leftMs))
  const question = { server: 'ollama', method: 'POST', path: '/api/generate', timeoutMs, signal } as const
  const body = jsonQuestion({ model, keep_alive: KEEP_ALIVE, stream: false })
  return (await askNode(node, { ...question, ...body }, Generated).catch(unlessLate)) !== undefined
}

async function watchLoading(node: NodeLink, model: string, signal: AbortSignal): Promise<boolean> {
  do await pause(POLL_MS, signal)
  while (!signal.aborted && !(await isLoaded(node, model, signal)))
  return !signal.aborted
}

async function isLoaded(node: NodeLink, model: string, signal: AbortSignal): Promise<boolean> {
  const question = { server: 'ollama', method: 'GET', path: '/api/ps', timeoutMs: POLL_TIMEOUT_MS, signal } as const
  const running = await askNode(node, question, Running).catch(unlessLate)
  return running?.models.some(({ name }) => name === model) ?? false
}

/** Silence is what a node does that loads a model. */
function unlessLate(error: unknown): undefined {
  if (error instanceof NodeSilence && (error.fault === 'timeout' || error.fault === 'tunnel_silence')) return undefined
  throw error
}

function asUpstream(error: unknown): unknown {
  if (!(error instanceof NodeSilence)) return error
  const { cause, fault } = error
  if (cause instanceof UpstreamError) return cause
  const isAway = cause instanceof OutboundError && cause.fault !== 'timeout'
  return new UpstreamError(isAway ? 'connect' : 'garbage', `The node could not load the model: ${fault}.`, { cause })
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}
