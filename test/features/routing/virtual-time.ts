import { vi } from 'vitest'

type Timer = { atMs: number; no: number; fire: () => void }

/** Time that passes only when nothing else is left to do; `setTimeout` goes by it from `start` to `stop`. */
export function virtualTime(startMs: number) {
  let nowMs = startMs
  let made = 0
  let timers: Timer[] = []
  const set = (fire: () => void, ms = 0): number => {
    made += 1
    timers.push({ atMs: nowMs + Math.max(0, ms), no: made, fire })
    return made
  }
  const clear = (no: number | undefined): void => {
    timers = timers.filter((timer) => timer.no !== no)
  }
  const takeNext = (): Timer | undefined => {
    let next: Timer | undefined
    for (const timer of timers) {
      if (!next || timer.atMs < next.atMs || (timer.atMs === next.atMs && timer.no < next.no)) next = timer
    }
    if (next) clear(next.no)
    return next
  }
  return {
    now: () => nowMs,
    sleep: (ms: number) => new Promise<void>((resolve) => void set(resolve, ms)),
    start: () => {
      vi.stubGlobal('setTimeout', set)
      vi.stubGlobal('clearTimeout', clear)
    },
    stop: () => vi.unstubAllGlobals(),
    /** Until no timer is left. Throws when that takes more of them than given. */
    async run(mostTimers: number): Promise<void> {
      for (let fired = 0; ; fired += 1) {
        await new Promise((resolve) => setImmediate(resolve))
        const next = takeNext()
        if (!next) return
        if (fired === mostTimers) throw new Error(`there is no end to it after ${mostTimers} timers`)
        nowMs = Math.max(nowMs, next.atMs)
        next.fire()
      }
    },
  }
}
