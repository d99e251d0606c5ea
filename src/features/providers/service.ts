import type { AccountSpec, Accounts } from '../../core/accounts.ts'
import type { Policy } from '../../core/admission.ts'
import type { Ctx, Deps } from '../../core/context.ts'
import type { Provider, UpstreamError } from '../../core/models.ts'
import { type AccountDeps, createAccount } from './account.ts'
import { cooldownMs, noteCooldown } from './cooldown.ts'

export { type AccountDeps, connect, connectNode, createAccount, credentialPlace } from './account.ts'
export { blameOf } from './blame.ts'
export { accountsOf, specOf } from './compile.ts'
export { nodeCredentialPlace, nodeFactsOf, StoredCredential } from './node.ts'
export { figuresOf, withPriceId } from './prices.ts'

/** Callers of a few hundred organisations with accounts of their own may meet in one isolate. */
const MOST_REMEMBERED = 500
/** A shorter rest is over before the policies of an organisation are compiled anew; each isolate finds it out itself. */
const LEAST_TOLD_MS = 30_000

/**
 * The providers that callers of a policy reach, in order of preference: their organisation's own accounts, and those of
 * the installation whose name none of them has taken. Made once for each policy that an isolate holds.
 */
export function providersFor(
  deps: AccountDeps & Pick<Deps, 'providers'>,
  { accounts }: Pick<Policy, 'accounts'>,
): ReadonlyMap<string, Provider> {
  if (!accounts) return deps.providers
  const known = deps.memory.reach.get(accounts)
  if (known) return known
  const own = new Map(accounts.providers.map((spec) => [spec.name, accountFor(deps, accounts, spec)]))
  const shared = [...deps.providers].filter(([name]) => !own.has(name))
  const reach = new Map([...own, ...shared])
  deps.memory.reach.set(accounts, reach)
  return reach
}

/** The policies of an organisation share what was made of one description, so that its credentials are opened once. */
function accountFor(deps: AccountDeps, { orgId, dataKeys }: Accounts, spec: AccountSpec): Provider {
  const madeFrom = JSON.stringify([orgId, spec, dataKeys])
  const { accounts } = deps.memory
  const known = accounts.get(spec.id)
  if (known?.madeFrom === madeFrom) return known.provider
  const provider = createAccount(deps, { orgId, spec, dataKeys })
  accounts.delete(spec.id)
  accounts.set(spec.id, { madeFrom, provider })
  for (const [oldest] of accounts) {
    if (accounts.size <= MOST_REMEMBERED) break
    accounts.delete(oldest)
  }
  return provider
}

type World = Pick<Ctx, 'memory' | 'now' | 'log' | 'defer' | 'db' | 'redis' | 'newId' | 'admission'>

/**
 * Puts the credential aside that an attempt at an account was refused with: here at once, for all other isolates after
 * the response. What came of it: undefined when it stays in use, else whether another one can do its work.
 */
export function setAside(
  world: World,
  { account }: Provider,
  error: UpstreamError,
): { hasAnother: boolean } | undefined {
  const { credentialId } = error
  if (!account || credentialId === undefined) return undefined
  const forMs = cooldownMs(error, account.usable() > 1)
  if (forMs === undefined) return undefined
  const untilMs = world.now() + forMs
  noteCooldown(world, credentialId, untilMs)
  const { orgId } = world.admission.policy
  world.log.error('credential_set_aside', {
    org_id: orgId,
    provider_id: account.id,
    credential_id: credentialId,
    status: error.status,
    for_ms: forMs,
  })
  if (forMs >= LEAST_TOLD_MS) {
    world.defer(import('./told.ts').then(({ tellCooldown }) => tellCooldown(world, { orgId, credentialId, untilMs })))
  }
  return { hasAnother: account.usable() > 0 }
}
