/** The whole of Helix on this machine: `npm run dev`. See docs/local-stack.md. */
import { bannerOf, jsonOf } from './dev/banner.ts'
import { readOptions, usage } from './dev/options.ts'
import { run } from './dev/run.ts'
import type { Workers } from './dev/workers.ts'

const END_LIMIT_MS = 15_000
const PARENT_CHECK_MS = 500

const log = (line: string): void => void process.stderr.write(`${line}\n`)
const closers: (() => Promise<void>)[] = []
let workers: Workers | undefined
let ending = false

/** Closes everything that runs, the last first, and ends the process. A second call ends it at once. */
async function end(code: number): Promise<void> {
  if (ending) process.exit(code)
  ending = true
  setTimeout(() => process.exit(code), END_LIMIT_MS).unref()
  for (const close of closers.reverse()) {
    try {
      await close()
    } catch (error) {
      log(sentenceOf(error))
    }
  }
  process.exit(code)
}

const sentenceOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

async function fail(error: unknown): Promise<void> {
  if (ending) return
  log(sentenceOf(error))
  if (process.argv.includes('--verbose') && error instanceof Error) log(error.stack ?? '')
  await end(1)
}

/** npm, and the shell between it and this process, end by a signal without passing it on. */
function endWithNpm(): void {
  if (process.env.npm_lifecycle_event === undefined) return
  const parent = process.ppid
  const check = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(check)
    if (!ending) void end(0)
  }, PARENT_CHECK_MS)
  check.unref()
}

// Whatever happens to this process, wrangler's group does not outlive it.
process.on('exit', () => workers?.kill())
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void end(0))
process.on('uncaughtException', (error) => void fail(error))
process.on('unhandledRejection', (error) => void fail(error))
endWithNpm()

try {
  const options = readOptions(process.argv.slice(2))
  if (options.help) {
    console.log(usage)
  } else {
    const facts = await run(options, {
      log,
      onClose: (close) => closers.push(close),
      onWorkers: (started) => {
        workers = started
        void started.ended.then((sentence) => fail(new Error(sentence)))
      },
    })
    console.log(options.json ? jsonOf(facts) : bannerOf(facts))
  }
} catch (error) {
  await fail(error)
}
