/**
 * Measures what callers notice of vendors that fail, at full rates: everything in a process of its own, so that the
 * clients do not starve what they measure. All scenarios, or those that are named:
 *
 *   node --disable-warning=ExperimentalWarning scripts/bench/faults.ts [down|sometimes|storm|overload]
 *
 *   down       the preferred vendor is down for 45 s at 200 calls a second
 *   sometimes  one of three vendors fails three calls of ten, 100 clients
 *   storm      a vendor answers 429 to most of what it is asked, 100 clients
 *   overload   ten times too many calls for a vendor with a limit of calls at once
 *
 * Everything it starts is on loopback and ends with it. A missed target ends it with 1. Linux only: it reads /proc.
 */
import { buildHelix } from './build.ts'
import { closeClients } from './faults-load.ts'
import { overload } from './faults-overload.ts'
import { down, sometimes, storm } from './faults-vendors.ts'
import { startFaultsWorld } from './faults-world.ts'
import { type Figure, isMissed, lineOf } from './report.ts'

const scenarios = new Map(Object.entries({ down, sometimes, storm, overload }))

const asked = process.argv.slice(2)
const unknown = asked.find((name) => !scenarios.has(name))
if (unknown !== undefined) {
  console.error(`There is no scenario "${unknown}". The scenarios are: ${[...scenarios.keys()].join(', ')}.`)
  process.exit(2)
}

// A signal ends this process as an error does: with its children.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

const missed: Figure[] = []
const bundles = await buildHelix()
for (const [name, scenario] of scenarios) {
  if (asked.length > 0 && !asked.includes(name)) continue
  console.log(`\n${name}`)
  // A world of its own for each: no breaker and no figure of the one before.
  const world = await startFaultsWorld(bundles)
  try {
    const figures = await scenario(world)
    for (const figure of figures) console.log(`  ${lineOf(figure)}`)
    missed.push(...figures.filter(isMissed))
  } finally {
    await world.close()
  }
}
closeClients()
if (missed.length > 0) {
  console.log(`\nMissed: ${missed.map(({ name }) => name).join('; ')}`)
  process.exitCode = 1
}
