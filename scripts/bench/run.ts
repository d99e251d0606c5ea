/**
 * Measures what the gateway costs: `npm run bench`, or one part of it, `npm run bench -- start`.
 *
 *   size     gzip bytes of the built Workers
 *   start    first answer of a new isolate, over a bare Hono Worker
 *   latency  what the gateway adds to a call
 *   rates    requests to Redis and Postgres for each call, at 200 calls a second
 *   calls    CPU of a warm call, beside a bare proxy and the same I/O without logic
 *   chunks   CPU of one streamed chunk, beside a tee with one reader
 *   password CPU of one password, and of the refusal of an unknown user
 *   login    tries to sign in: known and unknown users, and a flood beside chat calls
 *
 * Everything it starts is on loopback and ends with it. A missed target ends it with 1. Linux only: it reads /proc.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Bundles, buildBundles } from './build.ts'
import { measureCalls, measureChunks } from './cpu.ts'
import { measureLatency } from './latency.ts'
import { closeConnections } from './load.ts'
import { measureLogin } from './login.ts'
import { measurePassword } from './password.ts'
import { startStores, startVendor } from './processes.ts'
import { measureRates } from './rates.ts'
import { type Figure, isMissed, lineOf } from './report.ts'
import { measureSize, measureStart, type StartBaseline } from './start.ts'
import { startBare, startFloor, startHelix } from './subjects.ts'

const parts = ['size', 'start', 'latency', 'rates', 'calls', 'chunks', 'password', 'login'] as const
type Part = (typeof parts)[number]
const isPart = (name: string): name is Part => parts.some((part) => part === name)

const asked = process.argv.slice(2)
const unknown = asked.find((name) => !isPart(name))
if (unknown !== undefined) {
  console.error(`There is no part "${unknown}". The parts are: ${parts.join(', ')}.`)
  process.exit(2)
}
const wants = (...names: Part[]) => asked.length === 0 || names.some((name) => asked.includes(name))

const missed: Figure[] = []
function show(part: Part, figures: readonly Figure[]): void {
  console.log(`\n${part}`)
  for (const figure of figures) console.log(`  ${lineOf(figure)}`)
  missed.push(...figures.filter(isMissed))
}

/** The parts that need the gateway at work between its stores and a vendor. */
async function measureAtWork(bundles: Bundles): Promise<void> {
  const closing: (() => Promise<void>)[] = []
  const opened = async <T extends { close(): Promise<void> }>(starting: Promise<T>): Promise<T> => {
    const started = await starting
    closing.unshift(started.close)
    return started
  }
  try {
    const [stores, vendor] = await Promise.all([opened(startStores()), opened(startVendor())])
    const helix = await opened(startHelix(bundles, vendor, stores))
    // Before anything has filled the ledger.
    if (wants('rates')) show('rates', await measureRates(helix, stores))
    if (wants('login')) show('login', await measureLogin(helix))
    const bare = await opened(startBare(bundles, vendor))
    const floor = await opened(startFloor(bundles, vendor, stores))
    if (wants('calls')) show('calls', await measureCalls({ bare, floor, helix }))
    if (wants('latency')) show('latency', await measureLatency({ bare, helix }))
    if (wants('chunks')) {
      const pump = await opened(startFloor(bundles, vendor, stores))
      show('chunks', await measureChunks({ tee: floor, pump, helix }))
    }
  } finally {
    closeConnections()
    for (const close of closing) await close()
  }
}

// A signal ends this process as an error does: with its children.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

const startMs = performance.now()
const baseline: StartBaseline = JSON.parse(await readFile(join(import.meta.dirname, 'baseline.json'), 'utf8'))
const bundles = await buildBundles()
if (wants('size')) show('size', await measureSize(bundles, baseline))
if (wants('start')) show('start', await measureStart(bundles, baseline))
if (wants('password')) show('password', await measurePassword(bundles))
if (wants('latency', 'rates', 'calls', 'chunks', 'login')) await measureAtWork(bundles)
console.log(`\n${((performance.now() - startMs) / 1000).toFixed(0)} s`)
if (missed.length > 0) {
  console.log(`Missed: ${missed.map(({ name }) => name).join('; ')}`)
  process.exitCode = 1
}
