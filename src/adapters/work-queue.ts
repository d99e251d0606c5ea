import { DependencyError } from '../core/errors.ts'
import type { WorkMessage, WorkQueue } from '../core/work.ts'

/** The part of a Cloudflare Queue's producer that is used here. */
export type QueueBinding = {
  sendBatch(
    messages: Iterable<{ body: WorkMessage; contentType: 'json' }>,
    options?: { delaySeconds?: number },
  ): Promise<unknown>
}

/** https://developers.cloudflare.com/queues/platform/limits/ */
const MOST_AT_ONCE = 100

/** The queue of the jobs. Without a binding nothing can be sent. */
export function createWorkQueue(queue: QueueBinding | undefined): WorkQueue {
  return {
    async send(messages, delaySeconds) {
      try {
        if (!queue) throw new Error('nothing is bound')
        for (let from = 0; from < messages.length; from += MOST_AT_ONCE) {
          const batch = messages.slice(from, from + MOST_AT_ONCE)
          await queue.sendBatch(
            batch.map((body) => ({ body, contentType: 'json' as const })),
            delaySeconds === undefined ? {} : { delaySeconds },
          )
        }
      } catch (cause) {
        throw new DependencyError('queue', cause)
      }
    },
  }
}
