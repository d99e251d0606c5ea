import type { Log } from '../core/context.ts'
import type { Settings } from '../core/settings.ts'

const levels = ['debug', 'info', 'warn', 'error'] as const

/** One line of JSON an event, on the console that Workers Logs reads. */
export function createLog(minimum: Settings['logLevel'], now: () => number): Log {
  const write = (level: (typeof levels)[number]): Log['info'] => {
    if (levels.indexOf(level) < levels.indexOf(minimum)) return () => {}
    return (event, facts) => {
      console[level](JSON.stringify({ time: new Date(now()).toISOString(), level, event, ...plain(facts) }))
    }
  }
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
}

/** Errors have no JSON of their own. */
function plain(facts: Record<string, unknown> = {}): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(facts).map(([name, fact]) => [name, fact instanceof Error ? `${fact.name}: ${fact.message}` : fact]),
  )
}
