/**
 * Every Redis key of admission, beside the records of credentials (`features/records/service.ts`).
 *
 * <org>:rl:<limit>         string  requests: theoretical arrival time in ms (GCRA); until it is reached
 * <org>:rl:<limit>:<min>   string  tokens taken in that minute; two minutes
 * <org>:open               hash  calls that hold money, by request id; an hour after the last
 * brk:<vendor/model>       string  until when the breaker is open, Unix ms; as long as it is open
 */
export const redisKeys = {
  requests: (orgId: string, limitId: string) => `${orgId}:rl:${limitId}`,
  tokens: (orgId: string, limitId: string, minute: number) => `${orgId}:rl:${limitId}:${minute}`,
  open: (orgId: string) => `${orgId}:open`,
  breaker: (target: string) => `brk:${target}`,
}
