import type { Ask, Limit, Policy } from '../../core/admission.ts'
import type { HoldRequest } from '../../core/ledger.ts'
import type { RedisArgument, RedisScript } from '../../core/redis.ts'
import { countedLimits, frameOf, limitKeys } from '../limits/service.ts'
import { holdsMoney } from './holding.ts'
import { redisKeys } from './keys.ts'

/** How long the caller who was told that a record is due has it to itself: meanwhile nobody else is told. */
const LEASE_MS = 5000

/** What a limit's wait is when no wait helps: the request is larger than its whole window. */
const NEVER_MS = Number.MAX_SAFE_INTEGER
/** How long what monitoring limits would have refused is kept. */
const SHADOW_SECONDS = 2 * 86_400

/**
 * The one Redis call of a warm request. Nothing is charged unless everything passes.
 *
 * KEYS  1 record · per counted limit: 1 (bucket, fixed) or 2 (sliding: this and the last window) · shadow, if any limit
 *       monitors · breakers · cache key · open calls
 * ARGV  held version · now in ms · limits · breakers · has cache · open id · open entry · then six per limit: its kind
 *       (b, s, f) · amount · burst or size of the request · window in ms · ms into it · its id if it only monitors
 * Reply {0} no record · {1, version, policy, at} another version · {2, limit no., retry, remaining, reset ms} refused ·
 *       {3, at, remaining and reset ms per limit…, breakers…, cached} · {4, at} due to be confirmed by this caller
 *
 * A bucket is kept as a level that drains by `amount` a millisecond, a request being as much as its window has
 * milliseconds: whole numbers, so nothing is lost to rounding however fast it is. One that was made smaller is full. Sliding windows weigh the last one by
 * what of it is still inside. A refusal's time is when the same request would pass if nothing else came: the longest
 * of all limits that are in the way. Reset is when everything that was taken has come back. A limit that only monitors
 * refuses nothing: what it would have refused does not count in it, is counted apart, and has -1 remaining.
 */
export const admissionScript: RedisScript = {
  text: `local record = redis.call('HMGET', KEYS[1], 'v', 'at', 'due')
local version, at = record[1], record[2] or ''
if not version then return {0} end
if version ~= ARGV[1] then return {1, version, redis.call('HGET', KEYS[1], 'p'), at} end
local now = tonumber(ARGV[2])
if now >= tonumber(record[3] or 0) then
  redis.call('HSET', KEYS[1], 'due', string.format('%.0f', now + ${LEASE_MS}))
  return {4, at}
end
local limits, key, arg, reply = tonumber(ARGV[3]), 2, 8, {3, at}
local states, lives, shadows, refusal = {}, {}, {}, nil
for i = 1, limits do
  local kind, amount, size = ARGV[arg], tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2])
  local window, into, monitored = tonumber(ARGV[arg + 3]), tonumber(ARGV[arg + 4]), ARGV[arg + 5]
  local wait, left, reset = 0, 0, 0
  if kind == 'b' then
    local capacity, since, level, ahead = size * window, now, 0, 0
    local state = redis.call('GET', KEYS[key])
    if state then
      local colon = string.find(state, ':', 1, true) or 0
      since, level = tonumber(string.sub(state, 1, colon - 1)) or now, tonumber(string.sub(state, colon + 1)) or 0
      if level > capacity then level = capacity end
      if since > now then ahead = since - now else level, since = math.max(0, level - (now - since) * amount), now end
    end
    if level + window > capacity then
      wait = ahead + math.ceil((level + window - capacity) / amount)
    else
      level = level + window
      states[i] = string.format('%.0f:%.0f', since, level)
    end
    left, reset = math.floor((capacity - level) / window), ahead + math.ceil(level / amount)
    lives[i] = reset
  else
    local this, used = tonumber(redis.call('GET', KEYS[key]) or 0), 0
    if kind == 's' then
      local last = tonumber(redis.call('GET', KEYS[key + 1]) or 0)
      used = this + last * (window - into) / window
      if size > 0 and used + size > amount then
        wait = (used + size - amount) * window / math.max(1, last)
        if this + size > amount then wait = window - into + (this + size - amount) * window / math.max(1, this) end
      else
        this, used = this + size, used + size
      end
      if this > 0 then reset = 2 * window - into elseif last > 0 then reset = window - into end
      key = key + 1
    else
      used, reset = this, window - into
      if size > 0 and used + size > amount then wait = reset else used = used + size end
    end
    if wait > 0 and size > amount then wait = ${NEVER_MS} end
    left = math.max(0, math.floor(amount - used))
  end
  if wait > 0 and monitored ~= '' then
    shadows[i], left = monitored, -1
  elseif wait > 0 and (not refusal or wait > refusal[3]) then
    refusal = {2, i, math.ceil(wait), left, math.ceil(reset)}
  end
  reply[#reply + 1] = left
  reply[#reply + 1] = math.ceil(reset)
  key, arg = key + 1, arg + 6
end
if refusal then return refusal end
local monitors = false
key, arg = 2, 8
for i = 1, limits do
  local kind, size = ARGV[arg], ARGV[arg + 2]
  if kind == 'b' then
    if states[i] then redis.call('SET', KEYS[key], states[i], 'PX', lives[i]) end
  elseif not shadows[i] and size ~= '0' then
    redis.call('INCRBY', KEYS[key], size)
    redis.call('PEXPIRE', KEYS[key], 2 * tonumber(ARGV[arg + 3]))
  end
  if kind == 's' then key = key + 1 end
  if ARGV[arg + 5] ~= '' then monitors = true end
  key, arg = key + 1, arg + 6
end
if monitors then
  for _, id in pairs(shadows) do
    redis.call('HINCRBY', KEYS[key], id, 1)
    redis.call('EXPIRE', KEYS[key], ${SHADOW_SECONDS})
  end
  key = key + 1
end
for i = 1, tonumber(ARGV[4]) do
  reply[#reply + 1] = redis.call('GET', KEYS[key])
  key = key + 1
end
if ARGV[5] == '1' then
  reply[#reply + 1] = redis.call('GET', KEYS[key])
  key = key + 1
else
  reply[#reply + 1] = false
end
if ARGV[6] ~= '' then
  redis.call('HSET', KEYS[key], ARGV[6], ARGV[7])
  redis.call('EXPIRE', KEYS[key], 3600)
end
return reply`,
}

type Question = { record: string; policy: Policy | undefined; ask: Ask; hold: HoldRequest | undefined; nowMs: number }

const KINDS = { bucket: 'b', sliding: 's', fixed: 'f' } as const

/** The script's input for one request of a caller whose policy this isolate holds (or believes to hold). */
export function scriptInput({ record, policy, ask, hold, nowMs }: Question) {
  const keys: string[] = [record]
  const limits: RedisArgument[] = []
  const orgId = policy?.orgId ?? ''
  const counted = countedLimits(policy?.limits ?? [])
  let monitors = false
  for (const limit of counted) {
    const frame = frameOf(orgId, limit, nowMs)
    const size = limit.metric === 'tokens' ? ask.tokens : 1
    const isMonitored = limit.mode === 'monitor'
    keys.push(...frame.keys)
    limits.push(
      KINDS[frame.kind],
      limit.amount,
      frame.kind === 'bucket' ? (limit.burst ?? limit.amount) : size,
      frame.windowMs,
      frame.intoMs,
      isMonitored ? limit.id : '',
    )
    monitors ||= isMonitored
  }
  if (monitors) keys.push(limitKeys.shadow(orgId, nowMs))
  for (const target of ask.candidates) keys.push(redisKeys.breaker(target))
  if (ask.cacheKey !== undefined) keys.push(ask.cacheKey)
  const open = hold && holdsMoney(hold) ? hold : undefined
  if (open) keys.push(redisKeys.open(orgId))
  const args: RedisArgument[] = [
    policy?.version ?? '',
    nowMs,
    counted.length,
    ask.candidates.length,
    ask.cacheKey === undefined ? 0 : 1,
    open?.facts.request_id ?? '',
    open ? JSON.stringify(open) : '',
    ...limits,
  ]
  return { keys, args }
}

/** Where a limit stands after a request. `remaining` is -1 where a monitoring limit would have refused. */
export type Standing = { remaining: number; resetMs: number }

export type ScriptReply =
  | { kind: 'no_record' }
  | { kind: 'other_version'; version: string; policy: string | null; atMs: string }
  | { kind: 'due'; version: string; atMs: string }
  | { kind: 'refused'; limit: Limit; retryMs: number; remaining: number; resetMs: number }
  | {
      kind: 'admitted'
      /** When the record was read from Postgres, Unix ms. */
      atMs: string
      /** Of the counted limits, in their order. */
      rates: readonly Standing[]
      breakers: (string | null)[]
      cached: string | null
    }

/** Reads a reply against the request that caused it. Throws on a shape that the script cannot have sent. */
export function readReply(reply: unknown, policy: Policy | undefined, ask: Ask): ScriptReply {
  if (!Array.isArray(reply)) throw new TypeError('admission: the script answered no list')
  const limits = countedLimits(policy?.limits ?? [])
  switch (Number(reply[0])) {
    case 0:
      return { kind: 'no_record' }
    case 1:
      return { kind: 'other_version', version: String(reply[1]), policy: textOrNull(reply[2]), atMs: String(reply[3]) }
    case 2: {
      const limit = limits[Number(reply[1]) - 1]
      if (!limit) throw new TypeError('admission: the script named a limit that was not asked')
      const [retryMs, remaining, resetMs] = [Number(reply[2]), Number(reply[3]), Number(reply[4])]
      return { kind: 'refused', limit, retryMs, remaining, resetMs }
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
