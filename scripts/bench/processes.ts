import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { StoreCounts, StoresReady } from './stores.ts'

/** Linux counts a process's time in ticks of 10 ms. */
const TICK_MS = 10

export type Stores = StoresReady & {
  /** Requests that the bridges have served so far. */
  counts(): Promise<StoreCounts>
  close(): Promise<void>
}

export async function startStores(): Promise<Stores> {
  const child = fork(fileURLToPath(new URL('stores.ts', import.meta.url)), {
    execArgv: ['--disable-warning=ExperimentalWarning'],
  })
  const next = async (): Promise<unknown> => {
    const [message] = await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(([code]) => Promise.reject(new Error(`The stores ended with ${code}.`))),
    ])
    return message
  }
  const ready = (await next()) as StoresReady
  return {
    ...ready,
    counts: async () => {
      child.send('counts')
      return (await next()) as StoreCounts
    },
    close: () => end(child),
  }
}

export type Vendor = { url: string; close(): Promise<void> }

export async function startVendor(): Promise<Vendor> {
  const file = fileURLToPath(new URL('../../test/support/fake-vendor/run.ts', import.meta.url))
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', file, '--port', '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: child.stdout })
  const [line] = await once(lines, 'line')
  const { url } = JSON.parse(String(line)) as { url: string }
  return { url, close: () => end(child) }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  await exited
}

type ProcessStat = { command: string; parent: number; cpuMs: number }

/** `/proc/<pid>/stat`, see proc(5): fields 2, 4, and 14 + 15. Undefined when the process is gone. */
function statOf(pid: number | string): ProcessStat | undefined {
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return undefined
  }
  const end = text.lastIndexOf(')')
  const rest = text.slice(end + 2).split(' ')
  return {
    command: text.slice(text.indexOf('(') + 1, end),
    parent: Number(rest[1]),
    cpuMs: (Number(rest[11]) + Number(rest[12])) * TICK_MS,
  }
}

/** User and system time of a process since it began, all of its threads together. */
export function cpuMsOf(pid: number): number {
  const stat = statOf(pid)
  if (!stat) throw new Error(`There is no process ${pid}.`)
  return stat.cpuMs
}

/** The workerd processes that this one has started. */
export function workerdPids(): number[] {
  return readdirSync('/proc').flatMap((name) => {
    const stat = /^\d+$/.test(name) ? statOf(name) : undefined
    return stat?.command === 'workerd' && stat.parent === process.pid ? [Number(name)] : []
  })
}
