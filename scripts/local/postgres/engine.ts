import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { EngineReply, EngineRequest, EngineStart } from './engine-messages.ts'
import { engineProgram } from './engine-program.ts'
import { backendMessages, PostgresFailure } from './wire.ts'

export type EngineResult = {
  bytes: Buffer
  /** True when `before` failed; the bytes are its answer and the cycle did not run. */
  refused: boolean
}

/** The embedded Postgres: one backend on a thread of its own. */
export type Engine = {
  /** Settings Postgres reports at connection start, such as server_version. */
  readonly parameters: ReadonlyMap<string, string>
  /** Grows by one whenever the thread had to be replaced; session state from earlier generations is gone. */
  generation(): number
  isReady(): boolean
  /**
   * Runs protocol messages up to a ReadyForQuery (or a Flush). Only one call may be under way.
   * @throws PostgresFailure 57014 when the statement ran out of time, XX000 when the backend died, 57P03 when there is none.
   */
  run(request: { before?: Buffer | undefined; cycle: Buffer }): Promise<EngineResult>
  close(): Promise<void>
}

export type EngineOptions = {
  /** Undefined keeps the data in memory. */
  dataDir: string | undefined
  statementTimeoutMs: number
  log: (message: string) => void
  /** Called when the backend was replaced: every session's state is lost. */
  onLoss: (reason: string) => void
}

type Running = { resolve: (result: EngineResult) => void; reject: (failure: Error) => void; watchdog: NodeJS.Timeout }
type Thread = { worker: Worker; startup: Buffer }

const BOOT_TIMEOUT_MS = 120_000
const CLOSE_TIMEOUT_MS = 10_000

/**
 * Boots PGlite (seconds on an empty folder, under a second later).
 * @throws Error with one clear sentence when the data cannot be opened.
 */
export async function startEngine(options: EngineOptions): Promise<Engine> {
  let thread: Thread | undefined
  let running: Running | undefined
  let generation = 1
  let closing = false
  let recovery: Promise<void> = Promise.resolve()

  async function boot(): Promise<Thread> {
    const booted = await bootThread(options)
    booted.worker.on('message', (reply: EngineReply) => {
      if (reply.type === 'result')
        settle((job) => job.resolve({ bytes: asBuffer(reply.bytes), refused: reply.refused }))
    })
    booted.worker.on('error', (error) => replace(booted, new PostgresFailure('XX000', describeDeath(error))))
    thread = booted
    return booted
  }

  function settle(finish: (job: Running) => void): void {
    const job = running
    running = undefined
    if (!job) return
    clearTimeout(job.watchdog)
    finish(job)
  }

  function replace(dead: Thread, failure: PostgresFailure): void {
    if (thread !== dead || closing) return
    thread = undefined
    generation += 1
    const memory = options.dataDir === undefined ? ' Its data was in memory and is gone: run the migrations again.' : ''
    const reason = `the embedded Postgres was restarted (${failure.message}); connect again.${memory}`
    options.log(reason)
    settle((job) => job.reject(failure))
    // Later than the failure of the running statement, so that its session reports that and not the restart.
    setImmediate(() => options.onLoss(reason))
    recovery = dead.worker.terminate().then(async () => {
      if (!closing) await boot()
    })
    recovery.catch((error: unknown) => options.log(`the embedded Postgres did not come back: ${String(error)}`))
  }

  function start(current: Thread, request: { before?: Buffer | undefined; cycle: Buffer }): Promise<EngineResult> {
    return new Promise((resolve, reject) => {
      const limit = options.statementTimeoutMs
      const message = `canceling statement due to statement timeout: it ran longer than ${limit} ms`
      const watchdog = setTimeout(() => replace(current, new PostgresFailure('57014', message)), limit)
      running = { resolve, reject, watchdog }
      const { before, cycle } = request
      send(current.worker, { type: 'run', before: before && new Uint8Array(before), cycle: new Uint8Array(cycle) })
    })
  }

  const first = await boot()
  return {
    parameters: reportedSettings(first.startup),
    generation: () => generation,
    isReady: () => thread !== undefined && !closing,
    async run(request) {
      await recovery.catch(() => undefined)
      if (!thread || closing) throw new PostgresFailure('57P03', 'the embedded Postgres is not running')
      return start(thread, request)
    },
    async close() {
      closing = true
      await recovery.catch(() => undefined)
      if (thread) await stopThread(thread.worker, options.log)
      settle((job) => job.reject(new PostgresFailure('57P01', 'the embedded Postgres is shutting down')))
      thread = undefined
    },
  }
}

async function bootThread(options: EngineOptions): Promise<Thread> {
  const program = await engineProgram()
  const worker = new Worker(join(import.meta.dirname, 'engine-worker.ts'), {
    workerData: { dataDir: options.dataDir, program } satisfies EngineStart,
    execArgv: ['--disable-warning=ExperimentalWarning'],
    stdout: true,
    stderr: true,
  })
  // Postgres' own log lines; reading them also keeps the pipes from filling up.
  for (const output of [worker.stdout, worker.stderr]) output.on('data', (text) => options.log(String(text).trimEnd()))
  return new Promise((resolve, reject) => {
    const deadline = setTimeout(() => fail(`it did not start within ${BOOT_TIMEOUT_MS / 1000} s`), BOOT_TIMEOUT_MS)
    const onMessage = (reply: EngineReply) => {
      if (reply.type === 'unusable') fail(reply.reason)
      if (reply.type !== 'ready') return
      clearTimeout(deadline)
      worker.off('message', onMessage).off('error', onError)
      resolve({ worker, startup: asBuffer(reply.startup) })
    }
    const onError = (error: unknown) => fail(describeDeath(error))
    const fail = (reason: string) => {
      clearTimeout(deadline)
      const refusal = new Error(unusableSentence(options.dataDir, reason))
      // Only after the thread is gone, so that nobody meets a half-open folder.
      worker.terminate().then(() => reject(refusal), reject)
    }
    worker.on('message', onMessage).on('error', onError)
  })
}

async function stopThread(worker: Worker, log: EngineOptions['log']): Promise<void> {
  const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()))
  const timer = setTimeout(() => {
    log(`the embedded Postgres did not stop within ${CLOSE_TIMEOUT_MS} ms and was ended`)
    void worker.terminate()
  }, CLOSE_TIMEOUT_MS)
  send(worker, { type: 'close' })
  await exited
  clearTimeout(timer)
}

function send(worker: Worker, request: EngineRequest): void {
  worker.postMessage(request)
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function describeDeath(error: unknown): string {
  return `its backend died: ${error instanceof Error ? error.message : String(error)}`
}

function unusableSentence(dataDir: string | undefined, reason: string): string {
  const firstLine = reason.split('\n')[0] ?? ''
  if (dataDir === undefined) return `The embedded Postgres cannot start: ${firstLine}`
  return `The Postgres data in ${dataDir} cannot be opened (${firstLine}): restore a copy, or delete the folder to start empty.`
}

function reportedSettings(startup: Buffer): Map<string, string> {
  const settings = new Map<string, string>()
  for (const message of backendMessages(startup)) {
    const [name, value] = message.body.toString().split('\0')
    if (message.type === 'S' && name) settings.set(name, value ?? '')
  }
  return settings
}
