import { type ChildProcess, spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import * as z from 'zod'
import { createLineFilter } from './wrangler-lines.ts'

/** `wrangler dev` in a process group of its own. */
export type Workers = {
  /** The gateway's origin, once it listens. Rejects when wrangler ends before. */
  listening: Promise<string>
  /** Resolves with one sentence and wrangler's last lines when it ends, asked or not. */
  ended: Promise<string>
  /** Ends every process of the group. */
  stop(): Promise<void>
  /** The same at once and without waiting, for the very end of this process. */
  kill(): void
}

export type WorkersOptions = {
  configs: readonly string[]
  port: number
  /** Keeps Durable Objects and wrangler's own notes. */
  folder: string
  verbose: boolean
  log: (line: string) => void
}

const KEPT_LINES = 20
const START_LIMIT_MS = 90_000
const STOP_LIMIT_MS = 5_000
const POLL_MS = 20

export function startWorkers(options: WorkersOptions): Workers {
  const child = spawnWrangler(options)
  const lastLines: string[] = []
  let stopping = false
  const worthShowing = createLineFilter()
  for (const stream of [child.stdout, child.stderr]) {
    onLine(stream, (line) => {
      lastLines.push(line)
      lastLines.splice(0, lastLines.length - KEPT_LINES)
      const shown = options.verbose ? line : worthShowing(line)
      if (shown !== undefined && (options.verbose || !stopping)) options.log(shown)
    })
  }
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(`wrangler could not be started: ${error.message}`))
    child.once('close', (code, signal) => {
      const said = lastLines.length === 0 ? ' without a word.' : `. Its last lines:\n${lastLines.join('\n')}`
      resolve(`wrangler ended (${signal ?? `code ${code}`})${said}`)
    })
  })
  return {
    listening: untilListening(child, ended),
    ended,
    async stop() {
      stopping = true
      signalGroup(child, 'SIGINT')
      if (!(await groupEnds(child, STOP_LIMIT_MS))) signalGroup(child, 'SIGKILL')
      await groupEnds(child, STOP_LIMIT_MS)
    },
    kill: () => signalGroup(child, 'SIGKILL'),
  }
}

function spawnWrangler({ configs, port, folder }: WorkersOptions): ChildProcess {
  const require = createRequire(import.meta.url)
  const cli = join(require.resolve('wrangler/package.json'), '../wrangler-dist/cli.js')
  const leash = new URL('./leash.ts', import.meta.url).href
  const flags = ['--ip', '127.0.0.1', '--port', String(port), '--inspector-port', '0', '--persist-to', folder]
  const args = ['dev', ...configs.flatMap((config) => ['-c', config]), ...flags, '--show-interactive-dev-session=false']
  return spawn(process.execPath, ['--no-warnings', '--import', leash, cli, ...args], {
    cwd: join(import.meta.dirname, '../..'),
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: {
      ...process.env,
      WRANGLER_SEND_METRICS: 'false',
      WRANGLER_HIDE_BANNER: 'true',
      WRANGLER_WRITE_LOGS: 'false',
      CLOUDFLARE_CF_FETCH_ENABLED: 'false',
      WRANGLER_REGISTRY_PATH: join(folder, 'registry'),
    },
  })
}

function onLine(stream: Readable | null, take: (line: string) => void): void {
  if (stream) createInterface({ input: stream }).on('line', take)
}

/** What wrangler sends over its channel when it listens. */
const Listening = z.object({ event: z.literal('DEV_SERVER_READY'), ip: z.string(), port: z.number() })

function untilListening(child: ChildProcess, ended: Promise<string>): Promise<string> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`wrangler does not listen after ${START_LIMIT_MS / 1000} s: try again with --verbose.`)),
      START_LIMIT_MS,
    )
    timer.unref()
    void ended.then((sentence) => {
      clearTimeout(timer)
      reject(new Error(sentence))
    })
    child.on('message', (message) => {
      const parsed = typeof message === 'string' ? Listening.safeParse(parseJson(message)) : undefined
      if (!parsed?.success) return
      clearTimeout(timer)
      resolve(`http://${parsed.data.ip}:${parsed.data.port}`)
    })
  })
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** @returns whether anybody was there to get it */
function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals | 0): boolean {
  if (pid === undefined) return false
  try {
    // Windows has no process groups.
    return process.kill(process.platform === 'win32' ? pid : -pid, signal)
  } catch {
    return false
  }
}

async function groupEnds(child: ChildProcess, limitMs: number): Promise<boolean> {
  const deadline = Date.now() + limitMs
  while (signalGroup(child, 0)) {
    if (Date.now() > deadline) return false
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
  return true
}
