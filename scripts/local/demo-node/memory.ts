import { setTimeout as sleep } from 'node:timers/promises'
import type { ModelSpec } from './catalog.ts'
import { httpFailure } from './failures.ts'
import type { Exchange } from './types.ts'

const mebibyte = 2 ** 20
const inGib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`

export type Loading = { aliveMs: number; contextLength: number }

/**
 * Puts a model into the made-up memory: what was not used for longest makes room, and a cold one takes its time.
 *
 * @throws HttpFailure 500 when the whole card is too small for it.
 */
export async function loadModel({ node, signal }: Exchange, model: ModelSpec, loading: Loading): Promise<void> {
  const { runners, memoryMb } = node
  const keep = () => runners.load(model, loading.aliveMs, loading.contextLength)
  if (runners.has(model.name)) return keep()
  const room = memoryMb * mebibyte
  if (model.sizeBytes > room) {
    const message = `model requires more system memory (${inGib(model.sizeBytes)}) than is available (${inGib(room)})`
    throw httpFailure(500, message)
  }
  const delayMs = node.loadDelayMs(model.name)
  if (delayMs > 0) await sleep(delayMs, undefined, { signal })
  runners.makeRoom(room - model.sizeBytes)
  keep()
}
