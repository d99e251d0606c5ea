import type { Compared } from './cpu.ts'
import { chatBody, median, send } from './load.ts'
import type { Figure } from './report.ts'

const CALLS = 50
const ROUNDS = 5

/** What the gateway adds to a call, with its stores beside it: one call after the other, the two taking turns. */
export async function measureLatency({ bare, helix }: Pick<Compared, 'bare' | 'helix'>): Promise<Figure[]> {
  const times = { bare: [] as number[], helix: [] as number[] }
  for (let round = 0; round < ROUNDS; round++) {
    for (const subject of [bare, helix]) {
      const calls: number[] = []
      for (let call = 0; call < CALLS; call++) calls.push((await send(subject, { body: chatBody })).ms)
      times[subject === bare ? 'bare' : 'helix'].push(median(calls))
    }
  }
  const [base, own] = [median(times.bare), median(times.helix)]
  return [
    { name: 'latency of a call, bare', value: base, unit: 'ms', spread: times.bare },
    { name: 'latency of a call, helix', value: own, unit: 'ms', spread: times.helix },
    { name: 'latency added by helix', value: own - base, unit: 'ms', most: 6 },
  ]
}
