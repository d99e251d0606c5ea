import { createLog } from '../../src/adapters/log.ts'
import type { Deps } from '../../src/core/context.ts'
import type { WorkMessage } from '../../src/core/work.ts'
import { type Bindings, createDeps } from '../../src/deps.ts'
import { ConfigurationError, parseEnv } from '../../src/env.ts'
import { runMessage } from '../../src/features/job-queue/run.ts'
import { workHandlers } from '../../src/features/work.ts'

type Env = Record<string, unknown> & Bindings
type Message = { body: WorkMessage; ack(): void; retry(options: { delaySeconds: number }): void }

/** A job that could not be read or written is tried again after that; see `max_retries` in wrangler.toml. */
const AGAIN_SECONDS = 60

const builtFor = new WeakMap<Env, Deps>()

function depsFor(env: Env): Deps {
  const deps = builtFor.get(env) ?? createDeps(parseEnv(env), env)
  builtFor.set(env, deps)
  return deps
}

/**
 * Does what a queue brings. A message is done with once the row of its job says what came of it, whatever that is; it
 * comes again only where the row could not be reached.
 */
export async function workOff(messages: readonly Message[], env: Env): Promise<void> {
  await Promise.all(
    messages.map(async (message) => {
      try {
        await runMessage({ deps: depsFor(env), handlers: workHandlers }, message.body)
        message.ack()
      } catch (error) {
        const problems = error instanceof ConfigurationError ? error.problems : [String(error)]
        createLog('error', Date.now).error('work_not_done', { job_id: message.body.job_id, problems })
        message.retry({ delaySeconds: AGAIN_SECONDS })
      }
    }),
  )
}
