import type { AccountCredential, AccountKind, AccountSpec, Accounts } from '../../core/accounts.ts'
import type { Deps } from '../../core/context.ts'
import { type Provider, type Timeouts, UpstreamError, type Wire } from '../../core/models.ts'
import type { NodeFacts, NodeSend } from '../../core/node.ts'
import type { JobSettings } from '../../core/settings.ts'
import { openCarried, SealError } from '../encryption/service.ts'
import { coolUntilMs, usableOf } from './cooldown.ts'
import { nodeCredentialOf, nodeCredentialPlace, nodeFactsOf } from './node.ts'

const wires = {
  openai_compatible: 'openai',
  anthropic: 'anthropic',
  gemini: 'gemini',
  ollama: 'ollama',
} as const satisfies Record<AccountKind, Wire>

/** The longest stream, as with the vendors and nodes of the installation. */
const LONGEST_STREAM_MS = { vendor: 600_000, node: 300_000 }

export type AccountDeps = Pick<Deps, 'makeProvider' | 'memory' | 'now' | 'log'> & { settings: JobSettings }

export type Described = { orgId: string; spec: AccountSpec; dataKeys: Accounts['dataKeys'] }

/** Where a credential is sealed. */
export const credentialPlace = (orgId: string, id: string) => ({
  orgId,
  table: 'provider_credentials',
  column: 'secret',
  rowId: id,
})

/** A node is silent while it loads a model, and not once it has begun to answer. */
const NODE_IDLE_MS = 60_000

function timeoutsOf({ kind, timeoutMs, connectTimeoutMs, node }: AccountSpec): Timeouts {
  const totalMs = Math.max(timeoutMs, LONGEST_STREAM_MS[kind === 'ollama' ? 'node' : 'vendor'])
  const idleMs = node ? Math.min(timeoutMs, NODE_IDLE_MS) : timeoutMs
  return { connectMs: connectTimeoutMs, firstByteMs: timeoutMs, idleMs, totalMs }
}

/** The account with one of its keys; undefined for a node that asks for none. Throws `Error` for what is no key. */
export function connect(
  { makeProvider }: Pick<Deps, 'makeProvider'>,
  spec: AccountSpec,
  apiKey: string | undefined,
): Provider {
  const { node: _node, ...described } = spec
  return makeProvider({ ...described, apiKey, timeouts: timeoutsOf(spec), wholeTotalMs: spec.timeoutMs })
}

/** The same for a registered node, with its credential as it was sealed. Throws `Error` for what is none. */
export function connectNode(
  { makeProvider }: Pick<Deps, 'makeProvider'>,
  spec: AccountSpec,
  { facts, opened }: { facts: NodeFacts; opened: string | undefined },
): Provider {
  const node = { facts, credential: opened === undefined ? undefined : nodeCredentialOf(opened) }
  return makeProvider({ ...spec, apiKey: undefined, node, timeouts: timeoutsOf(spec), wholeTotalMs: spec.timeoutMs })
}

/**
 * A provider over an organisation's account. A credential is opened by the first call that uses it; each call uses the
 * first that is not put aside, and its error says which that was.
 */
export function createAccount(deps: AccountDeps, described: Described): Provider {
  const { orgId, spec, dataKeys } = described
  const { id, name, kind, vendor, models, maxRetries, maxConcurrency, credentials } = spec
  const facts = nodeFactsOf(described)
  const needsNone = kind === 'ollama' && credentials.length === 0
  const connected = new Map<string, Provider>()
  const upstreamNames = new Map(models.flatMap((one) => (one.upstreamName ? [[one.name, one.upstreamName]] : [])))

  async function connection(credential: AccountCredential | undefined): Promise<Provider> {
    const known = connected.get(credential?.id ?? '')
    if (known) return known
    if (!credential && !needsNone) throw new UpstreamError('status', `${name} has no credential left.`, { status: 401 })
    const key = credential && (await opened(credential))
    const made = facts ? connectNode(deps, spec, { facts, opened: key }) : connect(deps, spec, key)
    connected.set(credential?.id ?? '', made)
    return made
  }

  async function opened({ id: credentialId, sealed }: AccountCredential): Promise<string> {
    try {
      const place = facts ? nodeCredentialPlace(orgId, credentialId) : credentialPlace(orgId, credentialId)
      return await openCarried(deps, place, { sealed, dataKeys })
    } catch (error) {
      if (!(error instanceof SealError)) throw error
      deps.log.error('credential_not_opened', { provider_id: id, credential_id: credentialId })
      throw new UpstreamError('status', `A credential of ${name} cannot be read.`, { status: 401 })
    }
  }

  async function using<T>(work: (provider: Provider) => Promise<T>): Promise<T> {
    const [credential] = usableOf(deps, spec)
    try {
      return await work(await connection(credential))
    } catch (error) {
      if (error instanceof UpstreamError) error.credentialId = credential?.id
      throw error
    }
  }

  const named = <C extends { model: string }>(call: C): C => ({
    ...call,
    model: upstreamNames.get(call.model) ?? call.model,
  })

  const send: NodeSend = (request) =>
    using(async ({ node }) => {
      if (!node) throw new UpstreamError('garbage', `${name} is no node.`)
      return node.send(request)
    })

  const countTokens: Provider['countTokens'] = (call) =>
    using(async (provider) => {
      const tokens = await provider.countTokens?.(named(call))
      if (tokens === undefined) throw new UpstreamError('garbage', `${name} does not count tokens.`)
      return tokens
    })

  return {
    name,
    kind: kind === 'ollama' ? 'node' : 'vendor',
    wire: wires[kind],
    timeouts: timeoutsOf(spec),
    maxConcurrency,
    ...(facts && { node: { ...facts, send } }),
    account: {
      id,
      vendor,
      models,
      maxRetries,
      usable: () => (needsNone ? 1 : usableOf(deps, spec).length),
      readyAtMs: () => {
        if (needsNone || usableOf(deps, spec).length > 0) return undefined
        return Math.min(...credentials.map((one) => coolUntilMs(deps, one) ?? Number.POSITIVE_INFINITY))
      },
    },
    chat: (call) => using((provider) => provider.chat(named(call))),
    embed: (call) => using((provider) => provider.embed(named(call))),
    listModels: (signal) => using((provider) => provider.listModels(signal)),
    ...(kind === 'anthropic' || kind === 'gemini' ? { countTokens } : {}),
  }
}
