import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export type RealRedis = { url: string; stop(): Promise<void> }

const BINARIES = ['redis-server', 'valkey-server']
const START_LIMIT_MS = 10_000

let found: { binary: string | undefined } | undefined

/** The name of a Redis or Valkey server that runs on this machine, or undefined with the reason printed. */
export function findRedisServer(): string | undefined {
  // A process of many files looks once: to start a program takes the longer the more memory it has.
  found ??= { binary: BINARIES.find((binary) => spawnSync(binary, ['--version']).status === 0) }
  const { binary } = found
  if (binary === undefined) console.info(`Tests against a real Redis are skipped: no ${BINARIES.join(' or ')} here.`)
  return binary
}

/**
 * Starts a server on a free loopback port, in a directory of its own and without persistence; a script can be killed
 * after 100 ms. Gives undefined, with the reason printed, when there is no server to start.
 */
export async function startRealRedis(): Promise<RealRedis | undefined> {
  const binary = findRedisServer()
  if (binary === undefined) return undefined
  const directory = await mkdtemp(join(tmpdir(), 'helix-redis-'))
  const port = await freePort()
  const settings = { port: String(port), bind: '127.0.0.1', dir: directory, save: '', appendonly: 'no' }
  const flags = Object.entries({ ...settings, 'lua-time-limit': '100' }).flatMap(([name, value]) => [
    `--${name}`,
    value,
  ])
  const child = spawn(binary, flags, { stdio: ['ignore', 'pipe', 'ignore'] })
  const killWithUs = () => child.kill('SIGKILL')
  process.once('exit', killWithUs)
  const stop = async () => {
    process.off('exit', killWithUs)
    await stopProcess(child)
    await rm(directory, { recursive: true, force: true })
  }
  try {
    await ready(child)
  } catch (error) {
    await stop()
    throw error
  }
  return { url: `redis://127.0.0.1:${port}`, stop }
}

function ready(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let output = ''
    const timer = setTimeout(() => reject(new Error(`Redis was not ready in time: ${output}`)), START_LIMIT_MS)
    child.stdout?.on('data', (chunk: Buffer) => {
      output += chunk.toString()
      if (!output.includes('eady to accept connections')) return
      clearTimeout(timer)
      resolve()
    })
    child.once('exit', () => {
      clearTimeout(timer)
      reject(new Error(`Redis did not start: ${output}`))
    })
  })
}

function stopProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
  return new Promise((resolve) => {
    child.once('exit', () => resolve())
    child.kill('SIGKILL')
  })
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() =>
        typeof address === 'object' && address !== null ? resolve(address.port) : reject(new Error('no free port')),
      )
    })
  })
}
