import type { RedisScript } from '../../core/redis.ts'

/** What an address may do without a credential. */
export type Door = {
  /** Requests in each window, and how many of them at once. */
  amount: number
  windowMs: number
  burst: number
  /** More requests than that in a minute, refused ones too, close the door; 0 keeps it open. */
  mostPerMinute: number
  /** How many at once each isolate lets through while Redis is away. */
  burstAlone: number
}

/** How long an address stays out that knocked too often. */
export const BLOCK_MS = 300_000

const MINUTE_MS = 60_000

/**
 * One request of an address without a credential. What an isolate refused by itself meanwhile is counted with it.
 *
 * KEYS  1 bucket · 2 requests of this minute · 3 of the last minute · 4 block
 * ARGV  now in ms · amount · burst · window in ms · requests since the last time, this one too · most in a minute
 * Reply {wait in ms, 0 for a request that may pass · 1 if the address is blocked · requests in the minute up to now}
 *
 * The bucket is kept as the ones of limits are, and a minute longer: clocks differ. The minute weighs the last one by what of it is still inside.
 */
export const strangersScript: RedisScript = {
  text: `local now, amount, burst, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local most, count = tonumber(ARGV[6]), 0
if most > 0 then
  local blocked = redis.call('PTTL', KEYS[4])
  if blocked > 0 then return {blocked, 1, 0} end
  local this = redis.call('INCRBY', KEYS[2], ARGV[5])
  redis.call('PEXPIRE', KEYS[2], ${2 * MINUTE_MS})
  local last = tonumber(redis.call('GET', KEYS[3]) or 0)
  count = math.floor(this + last * (${MINUTE_MS} - now % ${MINUTE_MS}) / ${MINUTE_MS})
  if count > most then
    redis.call('SET', KEYS[4], '1', 'PX', ${BLOCK_MS})
    return {${BLOCK_MS}, 1, 0}
  end
end
local capacity, since, level, ahead = burst * window, now, 0, 0
local state = redis.call('GET', KEYS[1])
if state then
  local colon = string.find(state, ':', 1, true)
  since, level = tonumber(string.sub(state, 1, colon - 1)), tonumber(string.sub(state, colon + 1))
  if since > now then ahead = since - now else level, since = math.max(0, level - (now - since) * amount), now end
end
if level + window > capacity then return {ahead + math.ceil((level + window - capacity) / amount), 0, count} end
level = level + window
redis.call('SET', KEYS[1], string.format('%.0f:%.0f', since, level), 'PX', ahead + math.ceil(level / amount) + ${MINUTE_MS})
return {0, 0, count}`,
}

/**
 * Where Redis counts the requests of an address; `who` does not tell which it is.
 *
 * anon:<door>:<who>           string  a token bucket, as those of limits are; a minute longer than it matters
 * anon:<door>:<who>:<minute>  string  requests of that minute, refused ones too; two minutes
 * anon:<door>:<who>:block     string  as long as the address is shut out
 */
export function strangersInput(
  { name, who, door }: { name: string; who: string; door: Door },
  { nowMs, requests }: { nowMs: number; requests: number },
) {
  const place = `anon:${name}:${who}`
  const minute = Math.floor(nowMs / MINUTE_MS)
  const { amount, burst, windowMs, mostPerMinute } = door
  return {
    keys: [place, `${place}:${minute}`, `${place}:${minute - 1}`, `${place}:block`],
    args: [nowMs, amount, burst, windowMs, requests, mostPerMinute],
  }
}
