import { lesserRole, type Role, reaches } from '../../core/roles.ts'
import type { Provider } from './provider.ts'
import { refused } from './refusal.ts'
import type { TokenClaims } from './token.ts'

const isObject = (value: unknown): value is TokenClaims =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const own = (value: unknown, name: string): unknown =>
  isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined

/** A claim by its name; dots lead into objects (`realm_access.roles`) unless a claim has them in its name. */
export function claimOf(claims: TokenClaims, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name]
  return name.includes('.') ? name.split('.').reduce<unknown>(own, claims) : undefined
}

/** A claim as texts: of a list each item, of anything that is not a text, a number or a truth value none. */
function textsOf(value: unknown): string[] {
  const items: readonly unknown[] = Array.isArray(value) ? value : [value]
  return items.filter((item) => ['string', 'number', 'boolean'].includes(typeof item)).map(String)
}

const matches = (wanted: string, text: string): boolean =>
  wanted.endsWith('*') ? text.startsWith(wanted.slice(0, -1)) : text === wanted

/** Whether a token says everything that its provider requires. A list says each of its items. */
export const meets = (claims: TokenClaims, required: Readonly<Record<string, string>>): boolean =>
  Object.entries(required).every(([name, wanted]) =>
    textsOf(claimOf(claims, name)).some((text) => matches(wanted, text)),
  )

/** The most that a token's bearer may be: the highest role that is mapped, never above the provider's own limit. */
export function roleOf(
  { claimMap, roleMap, defaultRole, maxRole }: Pick<Provider, 'claimMap' | 'roleMap' | 'defaultRole' | 'maxRole'>,
  claims: TokenClaims,
): Role {
  const values = claimMap.role === undefined ? [] : textsOf(claimOf(claims, claimMap.role))
  const mapped = values.flatMap((value) => (Object.hasOwn(roleMap, value) ? (roleMap[value] ?? []) : []))
  const highest = mapped.reduce<Role | undefined>(
    (best, role) => (best !== undefined && reaches(best, role) ? best : role),
    undefined,
  )
  return lesserRole(highest ?? defaultRole, maxRole)
}

/** Who a token is about, in its issuer's words. */
export type Subject = {
  subject: string
  email: string | undefined
  /** The issuer says that the address is the person's. */
  isEmailVerified: boolean
  username: string | undefined
}

const MAX_SUBJECT_CHARS = 512

const textOf = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined)

/** Throws 401 for a token without a usable subject. */
export function subjectOf({ claimMap }: Pick<Provider, 'claimMap'>, claims: TokenClaims): Subject {
  const subject = textOf(claimOf(claims, claimMap.subject ?? 'sub'))
  if (subject === undefined || subject.length > MAX_SUBJECT_CHARS) throw refused('no_subject')
  const emailClaim = claimMap.email ?? 'email'
  return {
    subject,
    email: textOf(claimOf(claims, emailClaim)),
    // The standard's `email_verified` speaks of `email` and of no other claim (OpenID Connect Core 1.0, 5.1).
    isEmailVerified: emailClaim === 'email' && claimOf(claims, 'email_verified') === true,
    username: textOf(claimOf(claims, claimMap.username ?? 'preferred_username')),
  }
}
