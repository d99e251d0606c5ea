import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TruthRow } from '../../test/support/fake-vendor/server.ts'
import type { Bundles } from './build.ts'
import { closedLoop, exchange, type Where } from './faults-load.ts'
import { cpuMsOf, type Stores, startStores, startVendor, type Vendor } from './processes.ts'
import type { Figure } from './report.ts'
import { type Subject, startHelix } from './subjects.ts'

/** A vendor in a process of its own, what it is told to do, and what really happened at it. */
export type FaultyVendor = Vendor & {
  /** One of these for each request by lot, none without any; the first `perSecond` of each second are spared. */
  always(directives?: readonly string[], perSecond?: number): Promise<void>
  truth(): Promise<TruthRow[]>
  mostAtOnce(): Promise<number>
}

async function startFaultyVendor(): Promise<FaultyVendor> {
  const vendor = await startVendor()
  const control = vendor.url.replace('/v1', '')
  const read = async (path: string, method = 'GET'): Promise<{ most: number; rows: TruthRow[] }> => {
    const response = await fetch(`${control}${path}`, { method })
    if (!response.ok) throw new Error(`The vendor answered ${response.status}: ${await response.text()}`)
    return (await response.json()) as { most: number; rows: TruthRow[] }
  }
  return {
    ...vendor,
    always: async (directives = [], perSecond) => {
      const query = new URLSearchParams(directives.map((list) => ['directives', list]))
      if (perSecond !== undefined) query.set('per_second', String(perSecond))
      await read(`/__always?${query}`, 'POST')
    },
    truth: async () => (await read('/__truth')).rows,
    mostAtOnce: async () => (await read('/__truth?totals')).most,
  }
}

/** The gateway over three vendors, and an organisation of it that pays from a hard budget. */
export type FaultsWorld = {
  caller: Where
  vendors: Readonly<Record<'openai' | 'deepseek' | 'groq', FaultyVendor>>
  /** Makes something of the organisation's, as its owner. */
  make(path: string, body: object): Promise<string>
  heldUsd(): Promise<number>
  /** Until when the breaker of a target is open, in Unix milliseconds; 0 when it closed, undefined if it never moved. */
  breaker(target: string): Promise<number | undefined>
  /** CPU that each process has used since the last time, in cores. */
  cores(): Figure[]
  close(): Promise<void>
}

export async function startFaultsWorld(bundles: Pick<Bundles, 'gateway' | 'jobs'>): Promise<FaultsWorld> {
  const [stores, openai, deepseek, groq] = await Promise.all([
    startStores('real-redis'),
    startFaultyVendor(),
    startFaultyVendor(),
    startFaultyVendor(),
  ])
  const helix = await startHelix(bundles, openai, stores, {
    DEEPSEEK_API_KEY: 'sk-fake-deepseek',
    DEEPSEEK_BASE_URL: deepseek.url,
    GROQ_API_KEY: 'sk-fake-groq',
    GROQ_BASE_URL: groq.url,
  })
  const vendors = { openai, deepseek, groq }
  const organisation = await makeOrganisation(helix)
  return {
    ...organisation,
    vendors,
    breaker: (target) => readBreaker(stores, target),
    cores: coresOf({
      bench: process.pid,
      gateway: helix.pid,
      stores: stores.pid,
      openai: openai.pid,
      deepseek: deepseek.pid,
      groq: groq.pid,
    }),
    close: async () => {
      await helix.close()
      for (const { close } of [stores, openai, deepseek, groq]) await close()
    },
  }
}

async function makeOrganisation({ url }: Subject): Promise<Pick<FaultsWorld, 'caller' | 'make' | 'heldUsd'>> {
  const post = async (token: string, path: string, body: object): Promise<Record<string, unknown>> => {
    const { status, text } = await exchange({ url, token }, path, body)
    if (status !== 201) throw new Error(`${path}: ${status} ${text}`)
    return JSON.parse(text) as Record<string, unknown>
  }
  const person = { username: 'faults', email: 'faults@example.com', password: 'a heron over the salt marsh' }
  const { access_token: owner, org } = await post('', '/api/v1/auth/register', person)
  const token = String(owner)
  const { id: orgId } = org as { id: string }
  const { secret } = await post(token, '/api/v1/keys', { name: 'Faults', scopes: ['chat:write'] })
  const budget = { subject_kind: 'org', subject_id: orgId, window: 'total', limit_usd: 1000, hard: true }
  const { id: budgetId } = await post(token, '/api/v1/budgets', budget)
  return {
    caller: { url, token: String(secret) },
    make: async (path, body) => String((await post(token, path, body)).id),
    heldUsd: async () => {
      const { text } = await exchange({ url, token }, `/api/v1/budgets/${budgetId}/spend`)
      // Not a number where it cannot be read, and so never nothing.
      return Number((JSON.parse(text) as { held_usd?: number }).held_usd)
    },
  }
}

async function readBreaker({ redisUrl, redisToken }: Stores, target: string): Promise<number | undefined> {
  const headers = { authorization: `Bearer ${redisToken}` }
  const body = JSON.stringify(['HGET', 'breakers', target])
  const response = await fetch(redisUrl, { method: 'POST', headers, body })
  const { result } = (await response.json()) as { result: string | null }
  return result === null ? undefined : Number(result)
}

/** Calls before the first that counts, so that the isolate, its records and its connections are there. */
export async function warmUp({ caller }: FaultsWorld, models: readonly string[]): Promise<void> {
  for (const model of models) {
    const seen = await closedLoop(caller, () => ({ model }), { clients: 4, seconds: 2 })
    if (!seen.some(({ isAnswered }) => isAnswered)) throw new Error(`No call of ${model} was answered.`)
  }
}

/** What is still held when the ledger has had time for all that ended; 0 as soon as nothing is. */
export async function heldAtLast(world: FaultsWorld): Promise<Figure> {
  const endMs = Date.now() + 30_000
  let heldUsd = await world.heldUsd()
  while (heldUsd !== 0 && Date.now() < endMs) {
    await sleep(500)
    heldUsd = await world.heldUsd()
  }
  return { name: 'USD still held afterwards', value: heldUsd, unit: '', most: 0 }
}

/** What the machine did beside these processes is told, too: figures taken while it was busy with something else are not ours. */
function coresOf(pids: Readonly<Record<string, number>>): () => Figure[] {
  const read = () => ({
    atMs: performance.now(),
    machineMs: busyMsOfMachine(),
    each: new Map(Object.entries(pids).map(([name, pid]) => [name, cpuMsOf(pid)])),
  })
  let before = read()
  return () => {
    const now = read()
    const elapsedMs = now.atMs - before.atMs
    const cores = [...now.each].map(([name, ms]) => [name, (ms - (before.each.get(name) ?? 0)) / elapsedMs] as const)
    const ours = cores.reduce((sum, [, value]) => sum + value, 0)
    const all = (now.machineMs - before.machineMs) / elapsedMs
    before = now
    return [...cores, ['everything else', all - ours] as const].map(([name, value]) => {
      return { name: `cores that ${name} had`, value, unit: '' }
    })
  }
}

/** From `/proc/stat`, in ticks of 10 ms: user, nice, system, idle, iowait, irq, softirq, steal. */
function busyMsOfMachine(): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = (
    readFileSync('/proc/stat', 'utf8').split('\n')[0] ?? ''
  )
    .split(/\s+/)
    .slice(1)
    .map(Number)
  return (user + nice + system + irq + softirq + steal) * 10
}
