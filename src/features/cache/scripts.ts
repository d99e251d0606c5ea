import type { RedisScript } from '../../core/redis.ts'

/** An organisation keeps no more answers than that: those that were used longest ago go first. */
export const MAX_ENTRIES = 10_000
/** So many that have expired are taken out of the lists by each that is written. */
const SWEPT = 100
/** Entries that a removal looks at in one step. */
const PAGE = 500

/**
 * Writes an entry over whatever was there, and makes room for it.
 *
 * KEYS  1 entry · 2 the list by use · 3 the list by expiry
 * ARGV  now in ms · time to live in ms · entries at the most · fields and values of the entry
 * Reply how many there are
 */
export const keepScript: RedisScript = {
  text: `local now, ttl = tonumber(ARGV[1]), tonumber(ARGV[2])
local due = string.format('%.0f', now + ttl)
for _, key in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', ARGV[1], 'LIMIT', 0, ${SWEPT})) do
  redis.call('ZREM', KEYS[2], key)
  redis.call('ZREM', KEYS[3], key)
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], unpack(ARGV, 4))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[1], KEYS[1])
redis.call('ZADD', KEYS[3], due, KEYS[1])
local over = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[3])
if over > 0 then
  for _, key in ipairs(redis.call('ZRANGE', KEYS[2], 0, over - 1)) do
    redis.call('DEL', key)
    redis.call('ZREM', KEYS[2], key)
    redis.call('ZREM', KEYS[3], key)
  end
end
for i = 2, 3 do
  if redis.call('PTTL', KEYS[i]) < ttl then redis.call('PEXPIRE', KEYS[i], ARGV[2]) end
end
return redis.call('ZCARD', KEYS[2])`,
}

/**
 * Looks at a page of the entries for those that everything fits that is said. Entries that have expired are among them.
 *
 * KEYS  1 the list by use
 * ARGV  cursor (0 begins) · scope · key id · model · tag · Unix seconds before which it was made; empty for any
 * Reply {cursor (0 is the end), keys of the entries…}
 */
export const findScript: RedisScript = {
  text: `local page = redis.call('ZSCAN', KEYS[1], ARGV[1], 'COUNT', ${PAGE})
local scope, key, model, tag, before = ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
local found = {page[1]}
for i = 1, #page[2], 2 do
  local entry = redis.call('HMGET', page[2][i], 'sc', 'k', 'm', 't', 'g', 'at')
  local fits = true
  if entry[1] then
    local target = entry[4]
    local slash = string.find(target, '/', 1, true) or 0
    fits = (scope == '' or scope == entry[1]) and (key == '' or key == entry[2])
      and (model == '' or model == entry[3] or model == target or model == string.sub(target, slash + 1))
      and (tag == '' or string.find(entry[5], ' ' .. tag .. ' ', 1, true))
      and (not before or tonumber(entry[6]) < before)
  end
  if fits then found[#found + 1] = page[2][i] end
end
return found`,
}

/** No more than so many are removed at once. */
export const MAX_REMOVED = 500

/**
 * KEYS  1 the list by use · 2 the list by expiry · entries
 * Reply how many of them there were
 */
export const removeScript: RedisScript = {
  text: `local removed = 0
for i = 3, #KEYS do
  redis.call('ZREM', KEYS[1], KEYS[i])
  redis.call('ZREM', KEYS[2], KEYS[i])
  removed = removed + redis.call('DEL', KEYS[i])
end
return removed`,
}

/**
 * KEYS  1 the list by expiry
 * ARGV  now in ms
 * Reply how many entries are alive
 */
export const countScript: RedisScript = { text: `return redis.call('ZCOUNT', KEYS[1], '(' .. ARGV[1], '+inf')` }
