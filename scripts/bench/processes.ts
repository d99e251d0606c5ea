import { type ChildProcess, fork, spawn } from 'node:child_process'
import { type EventEmitter, once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { StoreCounts, StoresReady } from './stores.ts'

export type Stores = StoresReady & {
  pid: number
  /** Requests that the bridges have served so far. */
  counts(): Promise<StoreCounts>
  close(): Promise<void>
}

export async function startStores(...options: readonly 'real-redis'[]): Promise<Stores> {
  const child = fork(join(import.meta.dirname, 'stores.ts'), options, {
    execArgv: ['--disable-warning=ExperimentalWarning'],
  })
  endWithThis(child, 'SIGTERM')
  const ready = (await messageOf(child)) as StoresReady
  return {
    ...ready,
    pid: pidOf(child),
    counts: async () => {
      child.send('counts')
      return (await messageOf(child)) as StoreCounts
    },
    close: () => end(child),
  }
}

/** The next message of a process. @throws Error when it ends instead */
export async function messageOf(child: EventEmitter): Promise<unknown> {
  const settled = new AbortController()
  const { signal } = settled
  try {
    const [message] = await Promise.race([
      once(child, 'message', { signal }),
      once(child, 'exit', { signal }).then(([code]) => Promise.reject(new Error(`The stores ended with ${code}.`))),
    ])
    return message
  } finally {
    // Every message would leave a listener behind.
    settled.abort()
  }
}

export type Vendor = { url: string; pid: number; close(): Promise<void> }

export async function startVendor(): Promise<Vendor> {
  const file = join(import.meta.dirname, '../../test/support/fake-vendor/run.ts')
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', file, '--port', '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  endWithThis(child)
  const lines = createInterface({ input: child.stdout })
  const [line] = await once(lines, 'line')
  const { url } = JSON.parse(String(line)) as { url: string }
  return { url, pid: pidOf(child), close: () => end(child) }
}

function pidOf({ pid }: ChildProcess): number {
  if (pid === undefined) throw new Error('A process did not start.')
  return pid
}

type Child = EventEmitter & Pick<ChildProcess, 'kill'>

const running = new Map<Child, 'SIGKILL' | 'SIGTERM'>()
// One listener for all of them, however many a benchmark starts.
process.once('exit', () => {
  for (const [child, signal] of running) child.kill(signal)
})

/** Whatever ends this process, its children do not outlive it; those with children of their own end by SIGTERM. */
export function endWithThis(child: Child, signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): void {
  running.set(child, signal)
  child.once('exit', () => running.delete(child))
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  await exited
}

/**
 * CPU time of a process: what each of its threads has run, in nanoseconds, from `/proc/<pid>/task/<tid>/schedstat`
 * (its clock ticks of 10 ms are coarser than what is compared here). Throws when the process is gone.
 */
export function cpuMsOf(pid: number): number {
  let totalMs = 0
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    totalMs += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]) / 1e6
  }
  return totalMs
}
