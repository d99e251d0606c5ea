import type { Admission } from '../../core/admission.ts'
import type { Caller } from '../../core/context.ts'
import { AppError, unfit } from '../../core/errors.ts'
import { covers, narrow, reaches } from '../../core/roles.ts'
import type { KeyRecord } from './service.ts'

const DAY_SECONDS = 86_400
const DEFAULT_LIFE_SECONDS = 365 * DAY_SECONDS
/** Five years, with the leap days that may be among them. */
const MAX_LIFE_SECONDS = (5 * 365 + 2) * DAY_SECONDS

/** What a key may do, as far as giving it to someone is concerned. */
export type Powers = {
  scopes: string[]
  mode: 'live' | 'test'
  /** Null allows every address, or every model. */
  allowed_ips: string[] | null
  allowed_models: string[] | null
  /** Whose calls its calls are; null for nobody's but its owner's. */
  agent_id: string | null
}

/** What a key may do today, within what its maker may do. */
export function scopesNow({ scopes, role }: Pick<KeyRecord, 'scopes' | 'role'>): string[] {
  return role === undefined ? [...scopes] : narrow(scopes, role)
}

/** The person whose keys are the only ones that the caller sees; undefined for someone who sees all of the organisation's. */
export function onlyOf({ userId, role }: Caller): string | undefined {
  return userId !== undefined && !reaches(role ?? 'readonly', 'admin') ? userId : undefined
}

/**
 * Nobody gives a key what they do not have themselves. For someone signed in these are the scopes; a key that makes or
 * changes keys also hands on what it is restricted to. Throws 403 `permission_denied` that names what is too much.
 */
export function refuseBeyond({ policy }: Pick<Admission, 'policy'>, wanted: Powers): void {
  const excess = wanted.scopes.find((scope) => !covers(policy.scopes, scope))
  if (excess !== undefined) throw denied(`You do not hold the scope ${excess}, so no key can have it from you.`)
  if (policy.kind !== 'api_key') return
  if (policy.mode === 'test' && wanted.mode === 'live') throw denied('A test key reaches no live keys.')
  refuseWider('addresses', policy.allowedIps, wanted.allowed_ips)
  refuseWider('models', policy.allowedModels, wanted.allowed_models)
  // What an agent may spend would be worth nothing if its keys could make keys that are not its own.
  if (policy.agentId === undefined || wanted.agent_id === policy.agentId) return
  throw denied(`Your key is the agent ${policy.agentId}'s: it reaches only keys of the same agent.`)
}

function refuseWider(what: string, own: readonly string[] | undefined, wanted: readonly string[] | null): void {
  if (own === undefined || wanted?.every((one) => own.includes(one))) return
  throw denied(`Your key is restricted to some ${what}: it reaches only keys that are restricted to these.`)
}

const denied = (message: string) => new AppError('permission_denied', message)

/** The restrictions of a key that is being made, where nothing was said: those of the key that makes it, if one does. */
export function inherited({ policy }: Pick<Admission, 'policy'>): Omit<Powers, 'scopes' | 'mode'> {
  const { kind, allowedIps, allowedModels, agentId = null } = policy
  if (kind !== 'api_key') return { allowed_ips: null, allowed_models: null, agent_id: null }
  return {
    allowed_ips: allowedIps ? [...allowedIps] : null,
    allowed_models: allowedModels ? [...allowedModels] : null,
    agent_id: agentId,
  }
}

/** When a new key ends, in Unix seconds. Throws 422 for a time that has passed or is too far away. */
export function endOf(asked: number | undefined, nowSeconds: number): number {
  const end = asked ?? nowSeconds + DEFAULT_LIFE_SECONDS
  const rule = faultOf(end, nowSeconds)
  if (rule === undefined) return end
  throw unfit('expires_at', rule)
}

function faultOf(end: number, nowSeconds: number): string | undefined {
  if (end <= nowSeconds) return 'must be in the future'
  return end > nowSeconds + MAX_LIFE_SECONDS ? 'must be within five years' : undefined
}

/** When the successor of a key ends: it gets as long a life as that one had. */
export function endOfSuccessor(old: { created_at: number; expires_at: number | null }, nowSeconds: number): number {
  const life = old.expires_at === null ? DEFAULT_LIFE_SECONDS : old.expires_at - old.created_at
  return nowSeconds + Math.min(life, MAX_LIFE_SECONDS)
}
