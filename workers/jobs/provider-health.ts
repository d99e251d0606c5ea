import { DurableObject } from 'cloudflare:workers'
import type { HealthMonitor } from '../../src/core/health.ts'
import { createWatchDeps } from '../../src/deps.ts'
import { parseHealthEnv } from '../../src/env.ts'
import { createHealthWatch, type Kept } from '../../src/features/health/watch.ts'

type Env = Record<string, unknown>

/** Cloudflare's shell around the watch over the installation's providers; there is one of it. */
export class ProviderHealth extends DurableObject<Env> implements HealthMonitor {
  readonly #watch: ReturnType<typeof createHealthWatch>
  #alarmMs: number | undefined

  constructor(state: DurableObjectState, env: Env) {
    super(state, env)
    const settings = parseHealthEnv(env)
    void state.blockConcurrencyWhile(async () => {
      this.#alarmMs = (await state.storage.getAlarm()) ?? undefined
    })
    this.#watch = createHealthWatch({
      ...createWatchDeps(settings),
      storage: {
        read: () => state.storage.get<Kept>('kept'),
        write: (kept) => state.storage.put('kept', kept),
      },
      alarm: {
        currentMs: () => this.#alarmMs,
        set: (atMs) => {
          this.#alarmMs = atMs
          void state.storage.setAlarm(atMs)
        },
      },
      intervalMs: settings.healthIntervalMs,
    })
  }

  read() {
    return this.#watch.read()
  }

  override async alarm() {
    this.#alarmMs = undefined
    await this.#watch.wake()
  }
}
