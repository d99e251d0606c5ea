import type { Ask, Limit, Policy } from '../../core/admission.ts'
import type { HoldRequest } from '../../core/ledger.ts'
import type { RedisArgument, RedisScript } from '../../core/redis.ts'
import { redisKeys } from './keys.ts'

/** How long the caller who was told that a record is due has it to itself: meanwhile nobody else is told. */
const LEASE_MS = 5000

/**
 * The one Redis call of a warm request. Nothing is charged unless everything passes.
 *
 * KEYS  1 record · per limit: 1 (requests) or 2 (tokens: this and the last minute) · breakers · cache key · open calls
 * ARGV  held version · now in ms · ms into this minute · limits · breakers · has cache · open id · open entry ·
 *       then per limit: 'r', per minute, burst, 1  or  't', per minute, tokens, 2
 * Reply {0} no record · {1, version, policy, at} another version · {2, limit no., retry ms} refused ·
 *       {3, at, remaining and reset ms per limit…, breakers…, cached} · {4, at} due to be confirmed by this caller
 *
 * Requests follow GCRA (a token bucket kept as one time); tokens a two-bucket sliding window. A refusal's time is
 * when the same request would pass if nothing else came: within this minute the last one's share must fade, and if
 * this minute alone is too full, its own share in the next.
 */
export const admissionScript: RedisScript = {
  text: `local record = redis.call('HMGET', KEYS[1], 'v', 'at', 'due')
local version, at = record[1], record[2] or ''
if not version then return {0} end
if version ~= ARGV[1] then return {1, version, redis.call('HGET', KEYS[1], 'p'), at} end
local now, into = tonumber(ARGV[2]), tonumber(ARGV[3])
if now >= tonumber(record[3] or 0) then
  redis.call('HSET', KEYS[1], 'due', string.format('%.0f', now + ${LEASE_MS}))
  return {4, at}
end
local limits, breakers, cached = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local key, arg, state, reply = 2, 9, {}, {3, at}
for i = 1, limits do
  local rate, size = tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2])
  if ARGV[arg] == 'r' then
    local step = 60000 / rate
    local arrival = math.max(tonumber(redis.call('GET', KEYS[key]) or now), now) + step
    local over = arrival - now - step * size
    if over > 0.001 then return {2, i, math.ceil(over)} end
    state[i] = arrival
    reply[#reply + 1] = math.floor((step * size - (arrival - now)) / step + 0.001)
    reply[#reply + 1] = math.ceil(arrival - now)
  else
    local this = tonumber(redis.call('GET', KEYS[key]) or 0)
    local last = tonumber(redis.call('GET', KEYS[key + 1]) or 0)
    local used = this + last * (60000 - into) / 60000
    if used + size > rate then
      local wait = (used + size - rate) * 60000 / math.max(1, last)
      if this + size > rate then wait = 60000 - into + (this + size - rate) * 60000 / math.max(1, this) end
      return {2, i, math.ceil(wait)}
    end
    reply[#reply + 1] = math.floor(rate - used - size)
    reply[#reply + 1] = 60000 - into
  end
  key, arg = key + tonumber(ARGV[arg + 3]), arg + 4
end
key, arg = 2, 9
for i = 1, limits do
  if ARGV[arg] == 'r' then
    redis.call('SET', KEYS[key], string.format('%.3f', state[i]), 'PX', math.max(1, math.ceil(state[i] - now)))
  elseif tonumber(ARGV[arg + 2]) > 0 then
    redis.call('INCRBY', KEYS[key], ARGV[arg + 2])
    redis.call('EXPIRE', KEYS[key], 120)
  end
  key, arg = key + tonumber(ARGV[arg + 3]), arg + 4
end
for i = 1, breakers do
  reply[#reply + 1] = redis.call('GET', KEYS[key])
  key = key + 1
end
if cached == 1 then
  reply[#reply + 1] = redis.call('GET', KEYS[key])
  key = key + 1
else
  reply[#reply + 1] = false
end
if ARGV[7] ~= '' then
  redis.call('HSET', KEYS[key], ARGV[7], ARGV[8])
  redis.call('EXPIRE', KEYS[key], 3600)
end
return reply`,
}

type Question = { record: string; policy: Policy | undefined; ask: Ask; hold: HoldRequest | undefined; nowMs: number }

/** The script's input for one request of a caller whose policy this isolate holds (or believes to hold). */
export function scriptInput({ record, policy, ask, hold, nowMs }: Question) {
  const keys: string[] = [record]
  const limits: RedisArgument[] = []
  const minute = Math.floor(nowMs / 60_000)
  const orgId = policy?.orgId ?? ''
  for (const limit of policy?.limits ?? []) {
    if (limit.metric === 'requests') {
      keys.push(redisKeys.requests(orgId, limit.id))
      limits.push('r', limit.perMinute, limit.burst, 1)
    } else {
      keys.push(redisKeys.tokens(orgId, limit.id, minute), redisKeys.tokens(orgId, limit.id, minute - 1))
      limits.push('t', limit.perMinute, ask.tokens, 2)
    }
  }
  for (const target of ask.candidates) keys.push(redisKeys.breaker(target))
  if (ask.cacheKey !== undefined) keys.push(ask.cacheKey)
  if (hold) keys.push(redisKeys.open(orgId))
  const args: RedisArgument[] = [
    policy?.version ?? '',
    nowMs,
    nowMs % 60_000,
    policy?.limits.length ?? 0,
    ask.candidates.length,
    ask.cacheKey === undefined ? 0 : 1,
    hold?.facts.request_id ?? '',
    hold ? JSON.stringify(hold) : '',
    ...limits,
  ]
  return { keys, args }
}

export type ScriptReply =
  | { kind: 'no_record' }
  | { kind: 'other_version'; version: string; policy: string | null; atMs: string }
  | { kind: 'due'; version: string; atMs: string }
  | { kind: 'refused'; limit: Limit; retryMs: number }
  | {
      kind: 'admitted'
      /** When the record was read from Postgres, Unix ms. */
      atMs: string
      rates: readonly { remaining: number; resetMs: number }[]
      breakers: (string | null)[]
      cached: string | null
    }

/** Reads a reply against the request that caused it. Throws on a shape that the script cannot have sent. */
export function readReply(reply: unknown, policy: Policy | undefined, ask: Ask): ScriptReply {
  if (!Array.isArray(reply)) throw new TypeError('admission: the script answered no list')
  const limits = policy?.limits ?? []
  switch (Number(reply[0])) {
    case 0:
      return { kind: 'no_record' }
    case 1:
      return { kind: 'other_version', version: String(reply[1]), policy: textOrNull(reply[2]), atMs: String(reply[3]) }
    case 2: {
      const limit = limits[Number(reply[1]) - 1]
      if (!limit) throw new TypeError('admission: the script named a limit that was not asked')
      return { kind: 'refused', limit, retryMs: Number(reply[2]) }
    }
    case 3: {
      const rates = limits.map((_, at) => ({
        remaining: Number(reply[2 + at * 2]),
        resetMs: Number(reply[3 + at * 2]),
      }))
      const first = 2 + limits.length * 2
      const breakers = ask.candidates.map((_, at) => textOrNull(reply[first + at]))
      const cached = textOrNull(reply[first + ask.candidates.length])
      return { kind: 'admitted', atMs: String(reply[1]), rates, breakers, cached }
    }
    case 4:
      return { kind: 'due', version: policy?.version ?? '', atMs: String(reply[1]) }
    default:
      throw new TypeError('admission: the script answered an unknown kind')
  }
}

const textOrNull = (value: unknown): string | null => (value === null || value === undefined ? null : String(value))
