/**
 * Every Redis key of admission.
 *
 * key:<hash>               hash  v = policy version (or a mark below), p = policy as JSON; five minutes
 * <org>:rl:<limit>         string  requests: theoretical arrival time in ms (GCRA); until it is reached
 * <org>:rl:<limit>:<min>   string  tokens taken in that minute; two minutes
 * <org>:open               hash  calls that hold money, by request id; an hour after the last
 * brk:<vendor/model>       string  until when the breaker is open, Unix ms; as long as it is open
 */
export const redisKeys = {
  key: (hash: string) => `key:${hash}`,
  requests: (orgId: string, limitId: string) => `${orgId}:rl:${limitId}`,
  tokens: (orgId: string, limitId: string, minute: number) => `${orgId}:rl:${limitId}:${minute}`,
  open: (orgId: string) => `${orgId}:open`,
  breaker: (target: string) => `brk:${target}`,
}

/** `v` of a key record that is known not to exist or not to be valid. */
export const REFUSED = 'refused'
/** Also the longest that a key revoked behind our back, by SQL, goes on working. */
export const RECORD_TTL_SECONDS = 300
/** How long an unknown key is remembered as unknown. */
export const REFUSED_TTL_SECONDS = 30
