import type { Bundles } from './build.ts'
import { median } from './load.ts'
import { cpuMsOf } from './processes.ts'
import type { Figure } from './report.ts'
import { startWorkerd } from './workerd.ts'

const ROUNDS = 7
const CALLS = 15

const works = [
  { path: 'hash', name: 'a new password' },
  { path: 'wrong', name: 'a wrong password' },
  { path: 'nobody', name: 'an unknown user' },
] as const

/** CPU of workerd for one password: to store it, to refuse a wrong one, and to refuse a user who does not exist. */
export async function measurePassword({ password }: Bundles): Promise<Figure[]> {
  const spreads = new Map<string, number[]>(works.map(({ path }) => [path, []]))
  const { url, pid, close } = await startWorkerd([{ name: 'password', source: password }])
  try {
    // The first round only warms up.
    for (let round = -1; round < ROUNDS; round++) {
      for (const { path } of works) {
        const beforeMs = cpuMsOf(pid)
        for (let call = 0; call < CALLS; call++) await ask(`${url}/${path}`)
        if (round >= 0) spreads.get(path)?.push((cpuMsOf(pid) - beforeMs) / CALLS)
      }
    }
  } finally {
    await close()
  }
  const mean = (path: string) => (spreads.get(path) ?? []).reduce((sum, ms) => sum + ms, 0) / ROUNDS
  const [wrong, nobody] = [mean('wrong'), mean('nobody')]
  return [
    ...works.map(({ path, name }): Figure => {
      const spread = spreads.get(path) ?? []
      return { name: `CPU of ${name}`, value: median(spread), unit: 'ms', spread }
    }),
    {
      name: 'unknown user and wrong password, means',
      value: Math.max(wrong / nobody, nobody / wrong),
      unit: 'x',
      most: 1.05,
    },
  ]
}

async function ask(url: string): Promise<void> {
  const response = await fetch(url)
  const text = await response.text()
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${text}`)
}
