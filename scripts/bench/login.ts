import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { send } from './load.ts'
import type { Figure } from './report.ts'
import type { Subject } from './subjects.ts'

const PASSWORD = 'a heron over the salt marsh'
const ACCOUNTS = 12
const TRIES = 4
/** An isolate begins five hashes a second: no try shall wait for another. */
const PACE_MS = 300

const FLOOD_PER_SECOND = 200
const FLOOD_SECONDS = 20
const QUIET_SECONDS = 10
const CLIENTS = 8
/** A model at its work: a fifth of a second, so that calls wait for it and not for each other. */
const chat = {
  model: 'gpt-4o',
  stream: true,
  messages: [{ role: 'user', content: 'What is slow? fault:pieces=20,slow=10' }],
}
/** Nine tenths of the calls go on. */
const MOST_SLOWDOWN = 1.11

// An attacker keeps connections, too: what is measured is the tries.
const agent = new Agent({ keepAlive: true, maxSockets: 32 })

type Answer = { status: number; ms: number }

let addresses = 0
const newAddress = (): string => `2001:db8::${(++addresses).toString(16)}`

function post(url: string, body: object, address: string): Promise<Answer> {
  const text = JSON.stringify(body)
  const headers = {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    'cf-connecting-ip': address,
  }
  const startMs = performance.now()
  return new Promise((resolve, reject) => {
    const sent = request(url, { method: 'POST', agent, headers }, (response) => {
      response.resume()
      response.once('error', reject)
      response.once('end', () => resolve({ status: response.statusCode ?? 0, ms: performance.now() - startMs }))
    })
    sent.once('error', reject)
    sent.end(text)
  })
}

/** How long a try to sign in takes with a wrong password and as nobody, and what a flood of tries leaves to other calls. */
export async function measureLogin(helix: Subject): Promise<Figure[]> {
  try {
    return [...(await measureTimes(helix)), ...(await measureFlood(helix))]
  } finally {
    agent.destroy()
  }
}

async function measureTimes({ url }: Subject): Promise<Figure[]> {
  const names = Array.from({ length: ACCOUNTS }, (_, at) => `person-${at}`)
  for (const username of names) {
    const account = { username, email: `${username}@example.com`, password: PASSWORD }
    await expectStatus(post(`${url}/api/v1/auth/register`, account, newAddress()), 201)
    await sleep(PACE_MS)
  }
  const times = { known: [] as number[], nobody: [] as number[] }
  const attempt = async (kind: keyof typeof times, username: string): Promise<void> => {
    const answer = post(`${url}/api/v1/auth/login-json`, { username, password: `not ${PASSWORD}` }, newAddress())
    times[kind].push((await expectStatus(answer, 401)).ms)
    await sleep(PACE_MS)
  }
  for (let round = 0; round < TRIES; round++) {
    for (const username of names) {
      const pair = [['known', username] as const, ['nobody', `no-${username}`] as const]
      for (const [kind, name] of round % 2 === 0 ? pair : pair.reverse()) await attempt(kind, name)
    }
  }
  const [known, nobody] = [meanOf(times.known), meanOf(times.nobody)]
  return [
    { name: 'refusing a wrong password, mean', value: known, unit: 'ms', spread: times.known },
    { name: 'refusing an unknown user, mean', value: nobody, unit: 'ms', spread: times.nobody },
    {
      name: 'the greater mean over the lesser',
      value: Math.max(known / nobody, nobody / known),
      unit: 'x',
      most: 1.05,
    },
  ]
}

/** Without the slowest tenth: what else the machine does in the meantime is not ours. */
function meanOf(values: readonly number[]): number {
  const kept = [...values].sort((a, b) => a - b).slice(0, Math.ceil(values.length * 0.9))
  return kept.reduce((sum, value) => sum + value, 0) / kept.length
}

async function expectStatus(answer: Promise<Answer>, status: number): Promise<Answer> {
  const answered = await answer
  if (answered.status !== status) throw new Error(`A call answered ${answered.status} instead of ${status}.`)
  return answered
}

async function measureFlood(helix: Subject): Promise<Figure[]> {
  await chatRate(helix, 2)
  const before = await chatRate(helix, QUIET_SECONDS)
  const [during, statuses] = await Promise.all([chatRate(helix, FLOOD_SECONDS), flood(helix)])
  const after = await chatRate(helix, QUIET_SECONDS)
  const quiet = (before + after) / 2
  const refused = statuses.filter((status) => status === 429).length
  if (refused < statuses.length * 0.9) throw new Error(`Only ${refused} of ${statuses.length} tries were refused.`)
  return [
    { name: 'chat calls a second, quiet', value: quiet, unit: '', spread: [before, after] },
    { name: `… with ${FLOOD_PER_SECOND} tries to sign in a second`, value: during, unit: '' },
    { name: 'quiet over flooded', value: quiet / during, unit: 'x', most: MOST_SLOWDOWN },
  ]
}

/** Calls a second that a few clients get answered who each send the next when they have the last. */
async function chatRate(helix: Subject, seconds: number): Promise<number> {
  const startMs = performance.now()
  const endMs = startMs + seconds * 1000
  let answered = 0
  const client = async (): Promise<void> => {
    while (performance.now() < endMs) {
      await send(helix, { body: chat })
      answered += 1
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
  return answered / ((performance.now() - startMs) / 1000)
}

/** Tries at a steady pace from one address, whether or not earlier ones have been answered. */
async function flood({ url }: Subject): Promise<number[]> {
  const address = newAddress()
  const running: Promise<number>[] = []
  const startMs = performance.now()
  const total = FLOOD_PER_SECOND * FLOOD_SECONDS
  while (running.length < total) {
    const due = Math.min(total, Math.ceil(((performance.now() - startMs) / 1000) * FLOOD_PER_SECOND))
    while (running.length < due) {
      const body = { username: `guess-${running.length}`, password: 'guess' }
      running.push(post(`${url}/api/v1/auth/login-json`, body, address).then(({ status }) => status))
    }
    await sleep(2)
  }
  return Promise.all(running)
}
