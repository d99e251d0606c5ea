import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import * as z from 'zod'
import { withDatabase } from '../../scripts/database.ts'
import { readCrons, ringAt } from '../../scripts/dev/clock.ts'
import { seedVariables } from '../../scripts/dev/seed-access.ts'
import { defaultScopes } from '../../scripts/seed.ts'
import { full } from '../support/lane.ts'

const root = join(import.meta.dirname, '../..')
const Facts = z.object({
  base_url: z.url(),
  origin: z.url(),
  api_key: z.string(),
  bootstrap_token: z.string().nullable(),
  model: z.string(),
  node: z.enum(['demo', 'ollama']),
  curl: z.string(),
  mailbox_url: z.url(),
  ready_ms: z.number(),
})

let folder: string
const started: ChildProcess[] = []
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'helix-dev-'))
})
afterEach(async () => {
  for (const { pid } of started.splice(0)) if (pid !== undefined) endGroup(pid)
  await rm(folder, { recursive: true, force: true })
})

function endGroup(leader: number): void {
  try {
    process.kill(-leader, 'SIGKILL')
  } catch {
    // All of it has ended already, as it should.
  }
}

type Ended = { code: number | null; stdout: string; stderr: string }
type Running = { child: ChildProcess; firstLine: Promise<string>; ended: Promise<Ended> }

function launch(command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): Running {
  const child = spawn(command, args, { cwd: root, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  started.push(child)
  const said = { stdout: '', stderr: '' }
  let onLine: (line: string) => void = () => {}
  const firstLine = new Promise<string>((resolve) => {
    onLine = resolve
  })
  child.stdout.on('data', (bytes) => {
    said.stdout += bytes
    const end = said.stdout.indexOf('\n')
    if (end !== -1) onLine(said.stdout.slice(0, end))
  })
  child.stderr.on('data', (bytes) => {
    said.stderr += bytes
  })
  const ended = new Promise<Ended>((resolve) => child.once('close', (code) => resolve({ code, ...said })))
  return { child, firstLine, ended }
}

/** Neither the shell that runs the tests nor the developer's own .dev.vars decides what is started. */
const bareEnvironment = { PATH: process.env.PATH, HOME: process.env.HOME }

function devArguments(): string[] {
  const options = ['--json', '--port', '0', '--data', folder, '--vars', join(folder, 'none')]
  return ['--disable-warning=ExperimentalWarning', 'scripts/dev.ts', ...options]
}

const launchDev = (): Running => launch(process.execPath, devArguments(), bareEnvironment)

const runSeed = (): Promise<Ended> =>
  launch(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', 'scripts/seed.ts', '--data', folder],
    bareEnvironment,
  ).ended

async function readFacts({ firstLine, ended }: Running) {
  const early = ended.then(({ stderr }) => Promise.reject(new Error(`It ended before it was ready: ${stderr}`)))
  return Facts.parse(JSON.parse(await Promise.race([firstLine, early])))
}

/** What is wrong with a body is told only to those who may ask. */
async function expectAllowed({ api_key, origin }: z.output<typeof Facts>): Promise<void> {
  for (const path of ['v1/audio/speech', 'api/v1/vision/analyze', 'api/v1/semantic/embed']) {
    const headers = { authorization: `Bearer ${api_key}`, 'content-type': 'application/json' }
    const response = await fetch(`${origin}/${path}`, { method: 'POST', headers, body: '{}' })
    expect((await response.text()).includes('"invalid_request"'), `the key may ask for ${path}`).toBe(true)
  }
}

/** In the database of the stack that runs. */
async function query(text: string): Promise<unknown[]> {
  const { DATABASE_SYSTEM_URL: url = '', NEON_PROXY_URL: proxyUrl } = await seedVariables(folder)
  return withDatabase({ url, proxyUrl }, async (pool) => (await pool.query(text)).rows)
}

/** Each child leads a process group of its own. */
async function childPids(pid: number): Promise<number[]> {
  const { stdout } = await launch('ps', ['-o', 'pid=', '--ppid', String(pid)]).ended
  return stdout.split('\n').map(Number).filter(Boolean)
}

async function membersOf(group: number): Promise<string[]> {
  const { stdout } = await launch('ps', ['-e', '-o', 'pgid=,pid=,comm=']).ended
  return stdout.split('\n').filter((line) => Number(line.trim().split(/\s+/)[0]) === group)
}

it('starts with one command, answers the printed curl, and leaves nothing behind', { timeout: 180_000 }, async () => {
  const dev = launchDev()
  const facts = await readFacts(dev)
  console.info(`npm run dev was ready ${(facts.ready_ms / 1000).toFixed(1)} s after its start (the goal is 30 s).`)
  expect(facts.base_url).toBe(`${facts.origin}/v1`)

  const pasted = await launch('bash', ['-c', facts.curl]).ended
  expect(pasted.stdout).toContain(`"model":"${facts.model}"`)
  expect(pasted.stdout.match(/^data: \{/gm)?.length).toBeGreaterThan(5)
  expect(pasted.stdout.trimEnd().endsWith('data: [DONE]')).toBe(true)

  await expectAllowed(facts)
  for (const cron of await readCrons()) await ringAt(facts.origin)({ cron, dueMs: Date.UTC(2026, 2, 1, 5, 30) })

  expect(await (await fetch(`${facts.mailbox_url}/messages.json`)).json()).toEqual([])

  const seeded = await runSeed()
  expect(seeded).toMatchObject({ code: 0, stderr: '' })
  expect(seeded.stdout).toContain(`curl ${facts.origin}/api/v1/auth/bootstrap`)
  expect(seeded.stdout).toMatch(/^Bootstrap token {2}hxb_[\w-]{43} /m)
  expect(seeded.stdout).not.toContain(facts.bootstrap_token)

  const groups = await childPids(dev.child.pid ?? 0)
  expect(groups).toHaveLength(1)
  expect((await membersOf(groups[0] ?? 0)).join('\n')).toContain('workerd')

  // As an older release had made it.
  await query(`update api_keys set scopes = array['nodes:read', 'chat:write']`)
  const second = await launchDev().ended
  expect(second).toMatchObject({ code: 1, stdout: '' })
  expect(second.stderr).toBe(
    `The state of the local stack in ${folder} is in use by another process (pid ${dev.child.pid}): stop it first, or choose another folder.\n`,
  )

  process.kill(dev.child.pid ?? 0, 'SIGINT')
  const { code, stdout } = await dev.ended
  expect(code).toBe(0)
  expect(stdout.trimEnd().split('\n')).toHaveLength(1)
  expect(await membersOf(groups[0] ?? 0)).toEqual([])
  await expect(fetch(facts.mailbox_url)).rejects.toThrow()
  expect(await runSeed()).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining(`in ${folder}.`) })

  const again = launchDev()
  expect((await readFacts(again)).api_key).toBe(facts.api_key)
  const scopes = ['nodes:read', 'chat:write', ...defaultScopes.filter((scope) => scope !== 'chat:write')]
  expect(await query('select scopes from api_keys')).toEqual([{ scopes }])
  const [group = 0] = await childPids(again.child.pid ?? 0)
  process.kill(again.child.pid ?? 0, 'SIGKILL')
  await again.ended
  await expect.poll(() => membersOf(group), { timeout: 15_000, interval: 200 }).toEqual([])
})

it.runIf(full())('ends with the npm that started it, which passes no signal on', { timeout: 120_000 }, async () => {
  const environment = { ...bareEnvironment, npm_lifecycle_event: 'dev' }
  const npm = launch('bash', ['-c', '"$0" "$@"; true', process.execPath, ...devArguments()], environment)
  await readFacts(npm)
  const [dev = 0] = await childPids(npm.child.pid ?? 0)
  const [group = 0] = await childPids(dev)
  process.kill(npm.child.pid ?? 0, 'SIGTERM')
  await expect.poll(() => membersOf(group), { timeout: 15_000, interval: 200 }).toEqual([])
  await npm.ended
})
