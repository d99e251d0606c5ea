import { setTimeout as sleep } from 'node:timers/promises'
import { chatBody, sendMany, sendPaced } from './load.ts'
import type { Stores } from './processes.ts'
import type { Figure } from './report.ts'
import type { Subject } from './subjects.ts'

const PER_SECOND = 200
const SECONDS = 10
/** Longer than the ledger keeps a batch. */
const FLUSH_MS = 2500

/** Requests to the stores for each call of one organisation, the ledger's batches included. */
export async function measureRates(helix: Subject, stores: Stores): Promise<Figure[]> {
  const call = { body: chatBody }
  await sendMany(helix, call, { total: 50, parallel: 4 })
  await sleep(FLUSH_MS)
  const before = await stores.counts()
  const answers = await sendPaced(helix, call, { perSecond: PER_SECOND, seconds: SECONDS })
  await sleep(FLUSH_MS)
  const after = await stores.counts()
  const perCall = (store: 'redis' | 'postgres') => (after[store] - before[store]) / answers.length
  return [
    { name: `Redis requests a call, ${PER_SECOND} calls/s`, value: perCall('redis'), unit: '', most: 1.2 },
    { name: `Postgres requests a call, ${PER_SECOND} calls/s`, value: perCall('postgres'), unit: '', most: 0.05 },
  ]
}
