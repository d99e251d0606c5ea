/**
 * Runs the tests: those of the real stack, which wait more than they work, and in the time that these leave all others
 * and `npm run check`. What the others and a failed check said follows at the end. Arguments go to vitest: then the check
 * goes first and nothing runs beside the tests, and each file of the others has a process of its own.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { setPriority, tmpdir } from 'node:os'
import { join } from 'node:path'

type Ended = { code: number; said: string }

/** The stack's tests wait for stores with short timeouts: they go first, but the others wait for some, too. */
const LESS_URGENT = 5
/** Nothing waits for it. */
const LEAST_URGENT = 10

const vitest = join(import.meta.dirname, '../node_modules/vitest/vitest.mjs')

/** How a program ended, and what it said unless that went straight to the terminal. */
function whenEnded(child: ChildProcess): Promise<Ended> {
  const said: Buffer[] = []
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (bytes: Buffer) => said.push(bytes))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => child.kill(signal))
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ code: 1, said: `It could not be started: ${error.message}\n` }))
    child.once('close', (code) => resolve({ code: code ?? 1, said: Buffer.concat(said).toString() }))
  })
}

const shown = (args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<Ended> =>
  whenEnded(spawn(process.execPath, [vitest, 'run', ...args], { stdio: 'inherit', env }))

type Quiet = { niceness: number; env?: NodeJS.ProcessEnv }

function quiet(command: string, args: readonly string[], { niceness, env = process.env }: Quiet): Promise<Ended> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env })
  // What it starts itself is as little urgent.
  if (child.pid !== undefined) setPriority(child.pid, niceness)
  return whenEnded(child)
}

const checked = (niceness: number) => quiet('npm', ['run', '--silent', 'check'], { niceness })

/** Both runs of vitest start on one migrated Postgres. */
async function runAll(): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'helix-snapshot-'))
  const env = { ...process.env, HELIX_TEST_SNAPSHOTS: folder }
  const check = checked(LEAST_URGENT)
  check.then(({ code }) => code > 0 && console.error('`npm run check` has failed: see the end of this output.'))
  const others = [vitest, 'run', '--project', 'unit*', '--maxWorkers', '2']
  const ended = await Promise.all([
    shown(['--project', 'stack'], env),
    quiet(process.execPath, others, { niceness: LESS_URGENT, env: { ...env, HELIX_TEST_PROCESSES: 'shared' } }),
    check,
  ])
  await rm(folder, { recursive: true, force: true })
  for (const { said } of ended.slice(0, 2)) process.stdout.write(said)
  const { code, said } = await check
  process.stdout.write(code > 0 ? `\n\`npm run check\` has failed:\n${said}` : '\n`npm run check` is fine.\n')
  return Math.max(...ended.map((one) => one.code))
}

async function runSome(args: readonly string[]): Promise<number> {
  const { code, said } = await checked(0)
  process.stdout.write(said)
  return code > 0 ? code : (await shown(args)).code
}

const given = process.argv.slice(2)
process.exitCode = given.length > 0 ? await runSome(given) : await runAll()
