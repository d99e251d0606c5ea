import type { RedisScript } from '../../core/redis.ts'
import { breakerRules } from '../../core/reliability.ts'
import { SHADOW_SECONDS } from '../limits/service.ts'

/** How long the caller who was told that a record is due has it to itself: meanwhile nobody else is told. */
const LEASE_MS = 5000

/** What a limit's wait is when no wait helps: the request is larger than its whole window. */
const NEVER_MS = Number.MAX_SAFE_INTEGER

/** What an isolate told of its calls under way is worth nothing after so long without another word. */
export const BUSY_FRESH_MS = 10_000
/** A counter of turns that nobody moves begins anew. */
const TURN_SECONDS = 86_400

/** What is kept for a conversation and was asked for lives on for a day; no reply holds much more than so many bytes of it. */
const KEPT_SECONDS = 24 * 3600
const MAX_VAULT_BYTES = 1_000_000

/**
 * The one Redis call of a warm request. Nothing is charged unless everything passes.
 *
 * KEYS  1 record · per limit: 1 (bucket, fixed) or 2 (sliding: this and the last window) · shadow, if any limit
 *       monitors · states of targets · their figures · their calls under way · turn · cache entry and index · open calls ·
 *       vault
 * ARGV  held version, or * for a policy that is taken as it is, with a KEYS[1] that is not read · now in ms · limits of the caller · limits of providers · targets · what else is asked, a letter
 *       each: f(igures), b(usy), t(urn), c(ache) · open id · open entry · six per limit: its kind (b, s, f) · amount ·
 *       burst or size of the request · window in ms · ms into it · its id if it only monitors · with limits of
 *       providers, per target: the numbers of those that bind it · f: field of the output to expect · b: isolate, and
 *       per target its calls under way · c: the stamp that is held
 * Reply {0} no record · {1, version, policy, at} another version · {2, limit no., retry, remaining, reset ms} refused ·
 *       {3, at, remaining and reset ms per limit of the caller…, state of each target…} and, with limits of providers,
 *       for each of them 1 if it was charged, and for each target how long it is used up in ms, and by which; f: for
 *       each target its figures and the output to expect; b: for each the calls under way; t: the turn; c: stamp and,
 *       unless it is the one that is held, value; last, what is kept under each key of the vault · {4, at} due to be
 *       confirmed by this caller
 *
 * A bucket is kept as a level that drains by `amount` a millisecond, a request being as much as its window has
 * milliseconds: whole numbers, so nothing is lost to rounding however fast it is. One that was made smaller is full. Sliding windows weigh the last one by
 * what of it is still inside. A refusal's time is when the same request would pass if nothing else came: the longest
 * of all limits that are in the way. Reset is when everything that was taken has come back. A limit that only monitors
 * refuses nothing: what it would have refused does not count in it, is counted apart, and has -1 remaining.
 *
 * A target is closed (nothing is said), open (`o` and until when), cooling (`c` and until when), or half open: then it is
 * this call's to try (`p`, one of three places, and until when it has it) where it is the first that can be tried, and
 * open for everybody else.
 *
 * Limits of providers refuse only together: the first target that has room and can be tried is charged, and where every
 * one of those that could be is used up, the one that comes back first refuses.
 */
export const admissionScript: RedisScript = {
  text: `local at, now = '', tonumber(ARGV[2])
if ARGV[1] ~= '*' then
  local record = redis.call('HMGET', KEYS[1], 'v', 'at', 'due')
  local version = record[1]
  at = record[2] or ''
  if not version then return {0} end
  if version ~= ARGV[1] then return {1, version, redis.call('HGET', KEYS[1], 'p'), at} end
  if now >= tonumber(record[3] or 0) then
    redis.call('HSET', KEYS[1], 'due', string.format('%.0f', now + ${LEASE_MS}))
    return {4, at}
  end
end
local own, targets, key, arg, reply = tonumber(ARGV[3]), tonumber(ARGV[5]), 2, 9, {3, at}
local limits = own + tonumber(ARGV[4])
local states, lives, shadows, refusal, monitors = {}, {}, {}, nil, false
local waits, lefts, resets = {}, {}, {}
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
  if monitored ~= '' then
    monitors = true
    if wait > 0 then shadows[i], left, wait = monitored, -1, 0 end
  elseif i <= own and wait > 0 and (not refusal or wait > refusal[3]) then
    refusal = {2, i, math.ceil(wait), left, math.ceil(reset)}
  end
  waits[i], lefts[i], resets[i] = wait, left, math.ceil(reset)
  key, arg = key + 1, arg + 6
end
if refusal then return refusal end
for i = 1, own do
  reply[#reply + 1] = lefts[i]
  reply[#reply + 1] = resets[i]
end
local shadow, chosen, full, hasTarget, soonest, probe = KEYS[key], {}, {}, false, nil, nil
if monitors then key = key + 1 end
for t = 1, targets do
  local state = redis.call('HMGET', KEYS[key], 'u', 'c')
  local open, cool = state[1] and tonumber(state[1]), state[2] and tonumber(state[2])
  local word, slot, mine, longest = false, nil, nil, nil
  if open and open > now then
    word = 'o' .. state[1]
  elseif cool and cool > now then
    word = 'c' .. state[2]
  elseif open then
    local soon = nil
    for no, lease in ipairs(redis.call('HMGET', KEYS[key], 'p1', 'p2', 'p3')) do
      lease = lease and tonumber(lease) or 0
      if not slot and lease <= now then slot = no end
      if not soon or lease < soon then soon = lease end
    end
    word = 'o' .. string.format('%.0f', math.max(now, soon))
  end
  if limits > own then
    mine = {}
    for no in string.gmatch(ARGV[arg], '%d+') do
      local i = own + tonumber(no)
      mine[#mine + 1] = i
      if waits[i] > 0 and (not longest or waits[i] > waits[longest]) then longest = i end
    end
    arg = arg + 1
    full[t] = longest and {math.ceil(waits[longest]), longest} or {0, 0}
  end
  if not hasTarget and (not word or slot) then
    if not longest then
      hasTarget = true
      if mine then for _, i in ipairs(mine) do chosen[i] = true end end
      if slot then
        probe = {KEYS[key], 'p' .. slot, string.format('%.0f', now + ${breakerRules.probeMs})}
        word = probe[2] .. ':' .. probe[3]
      end
    elseif not soonest or waits[longest] < waits[soonest] then
      soonest = longest
    end
  end
  reply[#reply + 1] = word
  key = key + 1
end
if soonest and not hasTarget then
  return {2, soonest, math.ceil(waits[soonest]), lefts[soonest], resets[soonest]}
end
if probe then redis.call('HSET', probe[1], probe[2], probe[3]) end
key, arg = 2, 9
for i = 1, limits do
  local kind, size = ARGV[arg], ARGV[arg + 2]
  if i <= own or chosen[i] then
    if shadows[i] then
      redis.call('HINCRBY', shadow, shadows[i], 1)
      redis.call('EXPIRE', shadow, ${SHADOW_SECONDS})
    elseif kind == 'b' then
      redis.call('SET', KEYS[key], states[i], 'PX', lives[i])
    elseif size ~= '0' then
      redis.call('INCRBY', KEYS[key], size)
      redis.call('PEXPIRE', KEYS[key], 2 * tonumber(ARGV[arg + 3]))
    end
  end
  if kind == 's' then key = key + 1 end
  key, arg = key + 1, arg + 6
end
if monitors then key = key + 1 end
key = key + targets
for i = own + 1, limits do reply[#reply + 1] = chosen[i] and not shadows[i] and 1 or 0 end
if limits > own then
  for t = 1, targets do
    reply[#reply + 1] = full[t][1]
    reply[#reply + 1] = full[t][2]
  end
  arg = arg + targets
end
local wants = ARGV[6]
if string.find(wants, 'f', 1, true) then
  for t = 1, targets do
    local figures = redis.call('HMGET', KEYS[key], 'f', ARGV[arg])
    reply[#reply + 1] = figures[1]
    reply[#reply + 1] = figures[2]
    key = key + 1
  end
  arg = arg + 1
end
if string.find(wants, 'b', 1, true) then
  local isolate = ARGV[arg]
  for t = 1, targets do
    local mine, sum = tonumber(ARGV[arg + t]), 0
    local told = redis.call('HGETALL', KEYS[key])
    for i = 1, #told, 2 do
      local colon = string.find(told[i + 1], ':', 1, true) or 0
      local at = tonumber(string.sub(told[i + 1], colon + 1)) or 0
      if told[i] ~= isolate and at + ${BUSY_FRESH_MS} > now then
        sum = sum + (tonumber(string.sub(told[i + 1], 1, colon - 1)) or 0)
      elseif told[i] ~= isolate or mine == 0 then
        redis.call('HDEL', KEYS[key], told[i])
      end
    end
    if mine > 0 then
      redis.call('HSET', KEYS[key], isolate, string.format('%d:%.0f', mine, now))
      redis.call('PEXPIRE', KEYS[key], ${2 * BUSY_FRESH_MS})
    end
    reply[#reply + 1] = sum + mine
    key = key + 1
  end
  arg = arg + 1 + targets
end
if string.find(wants, 't', 1, true) then
  reply[#reply + 1] = redis.call('INCR', KEYS[key])
  redis.call('EXPIRE', KEYS[key], ${TURN_SECONDS})
  key = key + 1
end
if string.find(wants, 'c', 1, true) then
  local stamp = redis.call('ZSCORE', KEYS[key + 1], KEYS[key]) and redis.call('HGET', KEYS[key], 's')
  reply[#reply + 1] = stamp
  reply[#reply + 1] = stamp and stamp ~= ARGV[arg] and redis.call('HGET', KEYS[key], 'v')
  if stamp then redis.call('ZADD', KEYS[key + 1], 'XX', ARGV[2], KEYS[key]) end
  key = key + 2
end
if ARGV[7] ~= '' then
  redis.call('HSET', KEYS[key], ARGV[7], ARGV[8])
  redis.call('EXPIRE', KEYS[key], 3600)
  key = key + 1
end
local room = ${MAX_VAULT_BYTES}
for i = key, #KEYS do
  local kept = room > 0 and redis.call('GET', KEYS[i])
  if kept then
    room = room - #kept
    redis.call('EXPIRE', KEYS[i], ${KEPT_SECONDS})
  end
  reply[#reply + 1] = kept
end
return reply`,
}
