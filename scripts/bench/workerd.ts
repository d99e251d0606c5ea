import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { endWithThis } from './processes.ts'

/** One Worker of a configuration; what it is bound to are texts, Durable Objects of a Worker beside it, and a loader. */
export type Worker = {
  name: string
  source: string
  texts?: Readonly<Record<string, string>>
  ledger?: { className: string; workerName: string }
  /** Name of a binding that loads further Workers. */
  loader?: string
}

/** A workerd process whose first Worker serves. */
export type Workerd = { url: string; pid: number; readyMs: number; close(): Promise<void> }

const compatibilityDate = '2026-08-01'
const compatibilityFlags = ['nodejs_compat', 'no_nodejs_global_timers', 'enable_request_signal']

// The package has no types, and its command is a wrapper that would stand between us and the process.
const binary = (createRequire(import.meta.url)('workerd') as { default: string }).default

/**
 * Starts workerd itself. Miniflare would put Workers of its own before and behind ours (one a request, one a `fetch`),
 * which cost more than what is measured here.
 */
export async function startWorkerd(workers: readonly Worker[]): Promise<Workerd> {
  const folder = await mkdtemp(join(tmpdir(), 'helix-bench-'))
  await mkdir(join(folder, 'objects'))
  for (const { name, source } of workers) await writeFile(join(folder, `${name}.js`), source)
  await writeFile(join(folder, 'config.capnp'), configOf(workers, join(folder, 'objects')))
  const startMs = performance.now()
  const child = spawn(binary, ['serve', '--experimental', '--control-fd=3', join(folder, 'config.capnp')], {
    stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
  })
  endWithThis(child)
  const close = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    await rm(folder, { recursive: true, force: true })
  }
  const lines = createInterface({ input: child.stdio[3] as Readable })
  const [line] = await Promise.race([once(lines, 'line'), once(child, 'exit').then(() => [])])
  if (line === undefined || child.pid === undefined) {
    await close()
    throw new Error('workerd did not start.')
  }
  const { port } = JSON.parse(String(line)) as { port: number }
  return { url: `http://127.0.0.1:${port}`, pid: child.pid, readyMs: performance.now() - startMs, close }
}

/** Cap'n Proto's text form; its strings are quoted as JSON's are. */
const text = (value: string): string => JSON.stringify(value)
const list = (items: readonly string[]): string => `[${items.join(', ')}]`

function configOf(workers: readonly Worker[], objectsFolder: string): string {
  const services = workers.map(({ name }, position) => `(name = ${text(name)}, worker = .worker${position})`)
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = ${list([
    ...services,
    '(name = "internet", network = (allow = ["public", "private", "local"]))',
    `(name = "objects", disk = (path = ${text(objectsFolder)}, writable = true))`,
  ])},
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = ${text(workers[0]?.name ?? '')})],
);
${workers.map(workerOf).join('')}`
}

function workerOf(worker: Worker, position: number): string {
  const bindings = Object.entries(worker.texts ?? {}).map(
    ([name, value]) => `(name = ${text(name)}, text = ${text(value)})`,
  )
  const { ledger, loader } = worker
  if (loader !== undefined) bindings.push(`(name = ${text(loader)}, workerLoader = ())`)
  if (ledger) {
    const { className, workerName } = ledger
    const namespace = `(className = ${text(className)}, serviceName = ${text(workerName)})`
    bindings.push(`(name = "LEDGER", durableObjectNamespace = ${namespace})`)
  }
  const objects =
    ledger?.workerName === worker.name
      ? `
  durableObjectNamespaces = [(className = ${text(ledger.className)}, uniqueKey = "bench", enableSql = true)],
  durableObjectStorage = (localDisk = "objects"),`
      : ''
  return `const worker${position} :Workerd.Worker = (
  modules = [(name = "main.js", esModule = embed ${text(`${worker.name}.js`)})],
  compatibilityDate = ${text(compatibilityDate)},
  compatibilityFlags = ${list(compatibilityFlags.map(text))},
  bindings = ${list(bindings)},${objects}
);
`
}
