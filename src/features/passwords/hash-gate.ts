import type { Deps } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import type { Memory } from '../../core/memory.ts'

const WINDOW_MS = 1000

/** Lets so many hashes begin in any second. One an isolate, kept by whoever hashes. */
export type HashGate = {
  /** 0 when a hash may begin now, which is then counted; otherwise the whole seconds to wait. `nowMs` is Unix time. */
  enter(nowMs: number): number
}

/** A hash blocks its isolate's only thread: whatever is sent, the isolate keeps most of each second for other calls. */
export function createHashGate(perSecond = 5): HashGate {
  let begunMs: number[] = []
  return {
    enter(nowMs) {
      // A clock that was set back must not lock anybody out: what lies in its future is forgotten.
      begunMs = begunMs.filter((atMs) => atMs > nowMs - WINDOW_MS && atMs <= nowMs)
      const [oldestMs = nowMs] = begunMs
      if (begunMs.length >= perSecond) return Math.ceil((oldestMs + WINDOW_MS - nowMs) / 1000)
      begunMs.push(nowMs)
      return 0
    },
  }
}

/** The gate of each isolate, which is what a memory stands for. */
const gates = new WeakMap<Memory, HashGate>()

/** 0 when this isolate may hash now, which is then counted; otherwise the whole seconds to wait. */
export function hashWaitSeconds({ memory, now }: Pick<Deps, 'memory' | 'now'>): number {
  const gate = gates.get(memory) ?? createHashGate()
  gates.set(memory, gate)
  return gate.enter(now())
}

/** To be called before every hash of a request. Throws 429 when this isolate has begun as many as it may this second. */
export function enterHashGate(deps: Pick<Deps, 'memory' | 'now'>): void {
  const waitSeconds = hashWaitSeconds(deps)
  if (waitSeconds === 0) return
  throw new AppError('rate_limit_exceeded', 'Too many passwords are being checked right now. Try again.', {
    retryAfterSeconds: waitSeconds,
  })
}
