/** Limits whose subject is known without a key: an address, a login name. */
export type LimitName = 'key_lookups_per_ip'

/** Throws `DependencyError('redis')`; the caller decides whether its limit is then open or closed. */
export type Limiter = {
  /** Whether one would be allowed now; takes nothing. */
  allows(name: LimitName, subject: string): Promise<boolean>
  take(name: LimitName, subject: string): Promise<{ allowed: boolean; retryAfterSeconds: number }>
}
