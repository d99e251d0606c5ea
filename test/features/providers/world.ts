import type { AccountCredential, AccountSpec, Accounts } from '../../../src/core/accounts.ts'
import type { Deps } from '../../../src/core/context.ts'
import type { ChatAnswer, Provider, ProviderSpec } from '../../../src/core/models.ts'
import { kekIdOf, wrap } from '../../../src/features/encryption/keys.ts'
import { importDataKey, newDataKeyBytes, sealText } from '../../../src/features/encryption/seal.ts'
import { credentialPlace } from '../../../src/features/providers/service.ts'
import { fakeDeps, fakeSettings, keptLog } from '../../support/fake-deps.ts'
import { timeouts } from '../routing/world.ts'

export const orgId = 'org_1'
export const START_MS = 1_700_000_000_000

export const specOf = (given: Partial<AccountSpec> = {}): AccountSpec => ({
  id: 'prv_1',
  name: 'own',
  kind: 'openai_compatible',
  baseUrl: 'https://models.example.com/v1',
  models: [],
  timeoutMs: 60_000,
  connectTimeoutMs: 10_000,
  maxRetries: 2,
  quirks: {},
  credentials: [],
  ...given,
})

/** What was made of accounts, and what calls were sent with which key. */
export type World = {
  deps: Deps
  made: ProviderSpec[]
  sent: { apiKey: string | undefined; model: string }[]
  clock: { nowMs: number }
  log: ReturnType<typeof keptLog>['lines']
  /** What the next calls come to, by key; without an entry they are answered. */
  failures: Map<string, Error>
}

const whole: ChatAnswer = {
  kind: 'whole',
  completion: { id: 'c', object: 'chat.completion', created: 0, model: 'm', choices: [] },
  usage: undefined,
  ignored: [],
}

export function startWorld(): World {
  const { log, lines } = keptLog()
  const clock = { nowMs: START_MS }
  const made: ProviderSpec[] = []
  const sent: World['sent'] = []
  const failures: World['failures'] = new Map()
  const makeProvider = (spec: ProviderSpec): Provider => {
    made.push(spec)
    const { apiKey, name } = spec
    const answer = async <T>(model: string, value: T): Promise<T> => {
      sent.push({ apiKey, model })
      const failure = failures.get(apiKey ?? '')
      if (failure) throw failure
      return value
    }
    return {
      name,
      kind: 'vendor',
      timeouts,
      chat: ({ model }) => answer(model, whole),
      embed: ({ model }) => answer(model, { vectors: [], promptTokens: 0, ignored: [] }),
      listModels: () => answer('', []),
      countTokens: ({ model }) => answer(model, 7),
    }
  }
  const deps = fakeDeps({ makeProvider, log, now: () => clock.nowMs })
  return { deps, made, sent, clock, log: lines, failures }
}

/** Keys sealed as they are stored, with the data key that a policy carries beside them. */
export async function sealedKeys(
  keys: Readonly<Record<string, string>>,
  version = 1,
): Promise<{ credentials: AccountCredential[]; dataKeys: Accounts['dataKeys'] }> {
  const bytes = newDataKeyBytes()
  const key = await importDataKey(bytes)
  const wrapped = await wrap(fakeSettings, { purpose: 'data-key', bound: [orgId, version] }, bytes)
  if (!wrapped.includes(await kekIdOf(fakeSettings.kekCurrent))) throw new Error('wrapped under another key')
  const credentials = await Promise.all(
    Object.entries(keys).map(async ([id, text]) => ({
      id,
      sealed: await sealText({ version, key }, credentialPlace(orgId, id), text),
      updatedAt: START_MS / 1000,
    })),
  )
  return { credentials, dataKeys: [{ version, wrapped }] }
}
