import { createGateway, createMisconfigured, type Gateway } from '../src/app.ts'
import { type Bindings, createDeps } from '../src/deps.ts'
import { ConfigurationError, parseEnv } from '../src/env.ts'
import { createAdmit, createStrangers } from '../src/features/admission/service.ts'
import { beginWatch } from '../src/features/health/service.ts'
import { createOnce } from '../src/features/idempotency/service.ts'
import { areas } from '../src/features/index.ts'
import { providersFor } from '../src/features/providers/service.ts'
import { noteRequest } from '../src/features/requests/service.ts'

type Env = Record<string, unknown> & Bindings
type Execution = { waitUntil(work: Promise<unknown>): void }

/** After a change of bindings alone Cloudflare may hand a warm isolate a new `env`: each has its own gateway. */
const gateways = new WeakMap<Env, Gateway>()

function build(env: Env, execution: Execution): Gateway {
  try {
    const deps = createDeps(parseEnv(env), env)
    execution.waitUntil(beginWatch(deps))
    return createGateway(areas, deps, {
      admit: createAdmit(),
      reach: providersFor,
      strangers: createStrangers(),
      once: createOnce(),
      note: noteRequest,
    })
  } catch (error) {
    return createMisconfigured(error instanceof ConfigurationError ? error.problems : [String(error)])
  }
}

export default {
  fetch(request: Request, env: Env, execution: Execution): Promise<Response> {
    const gateway = gateways.get(env) ?? build(env, execution)
    gateways.set(env, gateway)
    return gateway(request, env, execution)
  },
}
