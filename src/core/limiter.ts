/** Limits whose subject is known without a key: an address, a login name. */
export type LimitName = 'key_lookups_per_ip'

/** Throws `DependencyError('redis')`; the caller decides whether its limit is then open or closed. */
export type Limiter = {
  take(name: LimitName, subject: string): Promise<{ allowed: boolean; retryAfterSeconds: number }>
}
