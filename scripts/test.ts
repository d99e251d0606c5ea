/**
 * Runs the tests: those of the real stack, which wait more than they work, and all others in the time that these leave.
 * The output of the others follows at the end. Arguments go to vitest: then nothing runs beside it, and each file of
 * the others has a process of its own.
 */
import { spawn } from 'node:child_process'
import { setPriority } from 'node:os'
import { join } from 'node:path'

const vitest = join(import.meta.dirname, '../node_modules/vitest/vitest.mjs')

/** The stack's tests wait for stores with short timeouts: they go first, but the others wait for some, too. */
const LESS_URGENT = 5

/** One run of vitest; its code, and what it said unless that went straight to the terminal. */
function run(args: readonly string[], isShown: boolean): Promise<{ code: number; said: string }> {
  const child = spawn(process.execPath, [vitest, 'run', ...args], {
    stdio: isShown ? 'inherit' : ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...(isShown ? {} : { HELIX_TEST_PROCESSES: 'shared' }) },
  })
  if (!isShown && child.pid !== undefined) setPriority(child.pid, LESS_URGENT)
  const said: Buffer[] = []
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (bytes: Buffer) => said.push(bytes))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => child.kill(signal))
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ code: 1, said: `vitest could not be started: ${error.message}\n` }))
    child.once('close', (code) => resolve({ code: code ?? 1, said: Buffer.concat(said).toString() }))
  })
}

const given = process.argv.slice(2)
const runs =
  given.length > 0
    ? [run(given, true)]
    : [run(['--project', 'stack'], true), run(['--project', 'unit*', '--maxWorkers', '2'], false)]
const ended = await Promise.all(runs)
for (const { said } of ended) process.stdout.write(said)
process.exitCode = Math.max(...ended.map(({ code }) => code))
