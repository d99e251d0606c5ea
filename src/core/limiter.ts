import { AppError } from './errors.ts'

/** Limits whose subject is known without a key: an address, a login name. What each allows is in the adapter. */
export type LimitName =
  | 'key_lookups_per_ip'
  | 'logins_per_ip'
  | 'logins_per_ip_and_name'
  | 'registrations_per_ip'
  | 'orgs_per_user'
  | 'resets_per_ip'
  | 'verifications_per_ip'
  | 'bootstraps_per_ip'
  | 'exchanges_per_ip'
  | 'mails_per_address'
  | 'refreshes_per_session'
  | 'password_checks_per_user'
  | 'passwords_set_per_org'
  | 'invitations_per_org'
  | 'key_creations_per_caller'
  | 'reveals_per_caller'

/** Throws `DependencyError('redis')`; the caller decides whether its limit is then open or closed. */
export type Limiter = {
  /** Whether one would be allowed now; takes nothing. */
  allows(name: LimitName, subject: string): Promise<boolean>
  take(name: LimitName, subject: string): Promise<{ allowed: boolean; retryAfterSeconds: number }>
  /** Forgets what the subject has taken. */
  reset(name: LimitName, subject: string): Promise<void>
}

/**
 * Takes one of what a subject may. Throws 429 in the given words, and `DependencyError('redis')`: such a limit is closed
 * without Redis.
 */
export async function takeOrRefuse(
  { limiter }: { limiter: Limiter },
  name: LimitName,
  { subject, message = 'Too many tries. Wait and try again.' }: { subject: string; message?: string },
): Promise<void> {
  const { allowed, retryAfterSeconds } = await limiter.take(name, subject)
  if (!allowed) throw new AppError('rate_limit_exceeded', message, { retryAfterSeconds })
}
