import type { ModelSpec } from './catalog.ts'

export type LoadedModel = { model: ModelSpec; expiresAtMs: number; contextLength: number }

/** Which models are "in memory": what `keep_alive` changes and `/api/ps` shows. */
export type Runners = {
  /** Loads (or refreshes) a model. A keep-alive of 0 means it is unloaded when the request ends. */
  load(model: ModelSpec, keepAliveMs: number, contextLength: number): void
  unload(name: string): void
  has(name: string): boolean
  /** Unloads what was not used for longest until the rest is no larger than this. */
  makeRoom(bytes: number): void
  /** Longest-living first. */
  list(): LoadedModel[]
}

export const defaultKeepAliveMs = 5 * 60_000
/** What a negative keep-alive becomes: the longest duration of a signed 64-bit nanosecond count, about 292 years. */
export const foreverMs = 9_223_372_036_854

const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
}

/**
 * `keep_alive` in milliseconds: a number of seconds or a Go duration ("5m", "1h30m", "-1s"); negative is forever.
 * Undefined when the text is no duration.
 */
export function parseKeepAlive(value: number | string | null | undefined): number | undefined {
  if (value === null || value === undefined) return defaultKeepAliveMs
  if (typeof value === 'number') return value < 0 ? foreverMs : Math.min(value * 1000, foreverMs)
  const match = /^([+-]?)((?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|ms|s|m|h))+$/.exec(value)
  if (value === '0') return 0
  if (!match) return undefined
  if (match[1] === '-') return foreverMs
  let totalMs = 0
  for (const part of value.matchAll(/(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)/g)) {
    totalMs += Number(part[1]) * (unitMs[part[2] ?? ''] ?? 0)
  }
  return Math.min(totalMs, foreverMs)
}

export function createRunners(nowMs: () => number): Runners {
  // In the order of their last use.
  const loaded = new Map<string, LoadedModel>()
  const sweep = () => {
    for (const [name, entry] of loaded) if (entry.expiresAtMs <= nowMs()) loaded.delete(name)
  }
  return {
    load: (model, keepAliveMs, contextLength) => {
      loaded.delete(model.name)
      loaded.set(model.name, { model, expiresAtMs: nowMs() + keepAliveMs, contextLength })
    },
    unload: (name) => void loaded.delete(name),
    has: (name) => {
      sweep()
      return loaded.has(name)
    },
    makeRoom: (bytes) => {
      sweep()
      let used = [...loaded.values()].reduce((sum, { model }) => sum + model.sizeBytes, 0)
      for (const [name, { model }] of loaded) {
        if (used <= bytes) return
        loaded.delete(name)
        used -= model.sizeBytes
      }
    },
    list: () => {
      sweep()
      return [...loaded.values()].sort((left, right) => right.expiresAtMs - left.expiresAtMs)
    },
  }
}
