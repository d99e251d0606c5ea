import type { Role } from '../../core/roles.ts'
import { Email, type NewAccount, Username } from '../users/service.ts'
import type { Subject } from './claims.ts'
import type { Provider } from './provider.ts'

/** Someone or something that comes for the first time, and what it will be. */
export type Newcomer = { subject: Subject; role: Role }

const MAX_USERNAME = 50
const DIGEST_CHARS = 12
const SUFFIX_CHARS = 6

/** The address that an issuer gives, if mail could be sent there. */
export const emailOf = ({ email }: Subject): string | undefined => Email.safeParse(email).data

/** Of what an issuer calls someone, as much as a username may have. Undefined when too little is left. */
function nameFrom(text: string | undefined): string | undefined {
  const [local = ''] = (text ?? '').split('@')
  const plain = local.normalize('NFKD').replace(/\p{M}/gu, '')
  const name = plain.replace(/[^A-Za-z0-9._]+/g, '-').replace(/^[-.]+|[-.]+$/g, '')
  return Username.safeParse(name.slice(0, MAX_USERNAME)).data
}

async function digestOf({ id }: Pick<Provider, 'id'>, { subject }: Subject): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(`${id} ${subject}`))
  return Buffer.from(digest).toString('hex').slice(0, DIGEST_CHARS)
}

/**
 * Usernames to try, the nicest first: what the issuer calls the person, the same with random characters behind it, and
 * for a workload, which nobody calls anything, `ci-` and a hash of its subject.
 */
export async function usernamesFor(provider: Pick<Provider, 'id'>, subject: Subject): Promise<[string, string]> {
  const name = nameFrom(subject.username) ?? nameFrom(emailOf(subject)) ?? `ci-${await digestOf(provider, subject)}`
  const suffix = Buffer.from(crypto.getRandomValues(new Uint8Array(SUFFIX_CHARS / 2))).toString('hex')
  return [name, `${name.slice(0, MAX_USERNAME - SUFFIX_CHARS - 1)}-${suffix}`]
}

/**
 * The account of a newcomer. Without a password, so that it can be entered through its issuer only; a workload has an
 * address that no mail reaches (RFC 2606).
 */
export function accountOf({ subject }: Newcomer, made: { id: string; username: string; now: number }): NewAccount {
  const email = emailOf(subject)
  return {
    ...made,
    email: email ?? `${made.id}@workload.invalid`,
    passwordHash: null,
    verifiedAt: email !== undefined && subject.isEmailVerified ? made.now : null,
  }
}
