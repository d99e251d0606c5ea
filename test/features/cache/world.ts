import type { Admission } from '../../../src/core/admission.ts'
import type { Ctx } from '../../../src/core/context.ts'
import { createMemory, type Memory } from '../../../src/core/memory.ts'
import type { KeptAnswer } from '../../../src/features/cache/entry.ts'
import type { CacheUse } from '../../../src/features/cache/use.ts'
import { importDataKey, newDataKeyBytes } from '../../../src/features/encryption/seal.ts'
import { fakeAdmission, fakeDeps, keptLog } from '../../support/fake-deps.ts'

export const kept = (text: string): KeptAnswer => ({
  completion: {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 7,
    model: 'gpt-4o-2024',
    choices: [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' }],
  },
  usage: { prompt: 3, cached: 0, cacheWrite: 0, completion: 5, reasoning: 0 },
  estimated: false,
  target: 'openai/gpt-4o',
  ignored: ['logit_bias'],
  costNanoUsd: 1234,
})

export const use = (given: Partial<CacheUse> = {}): CacheUse => ({
  ttlSeconds: 60,
  scope: 'key',
  subject: 'key_1',
  tags: ['docs'],
  ...given,
})

/** Puts data keys of organisations into an isolate's memory, so that no store is asked for them. */
export async function learnDataKeys(memory: Memory, orgIds: readonly string[], nowMs: number): Promise<void> {
  for (const orgId of orgIds) {
    const key = await importDataKey(newDataKeyBytes())
    const dataKey = { key, version: 1, createdAt: Math.floor(nowMs / 1000), readMs: nowMs }
    memory.dataKeys.set(`${orgId}:newest`, dataKey).set(`${orgId}:1`, dataKey)
  }
}

type Run = { keys: readonly string[]; args: readonly string[] }

/** An isolate whose Redis takes what is written, and whose admission found what is given. */
export async function isolate(given: { memory?: Memory; orgIds?: readonly string[] } = {}) {
  const { memory = createMemory(), orgIds = ['org_1'] } = given
  let nowMs = 1_700_000_000_000
  if (memory.dataKeys.size === 0) await learnDataKeys(memory, orgIds, nowMs)
  const runs: Run[] = []
  const deferred: Promise<unknown>[] = []
  const log = keptLog()
  const deps = fakeDeps({
    memory,
    now: () => nowMs,
    log: log.log,
    redis: {
      run: async (_script, keys, args) => runs.push({ keys, args: args.map(String) }),
      pipeline: async () => [],
    },
  })
  const ctx = (cached: Admission['cached'] = undefined): Pick<Ctx, keyof typeof deps | 'admission' | 'defer'> => ({
    ...deps,
    admission: { ...fakeAdmission(), cached },
    defer: (work) => void deferred.push(work),
  })
  /** The fields of the last entry that was written. */
  const written = (): Record<string, string> => {
    const [, , , ...fields] = runs.at(-1)?.args ?? []
    return Object.fromEntries(
      fields.flatMap((name, at) => (at % 2 === 0 ? [[name, fields[at + 1] ?? ''] as const] : [])),
    )
  }
  return {
    ctx,
    deps,
    memory,
    runs,
    log: log.lines,
    written,
    pass: (ms: number) => {
      nowMs += ms
    },
  }
}
