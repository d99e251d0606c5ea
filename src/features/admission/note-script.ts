import type { Redis, RedisScript } from '../../core/redis.ts'
import { breakerRules, coolingRules } from '../../core/reliability.ts'
import { redisKeys } from './keys.ts'

const { failuresInRow, leastCalls, failureShare, bucketMs, buckets, openMs, longestOpenMs, goodProbes } = breakerRules
const { firstMs, longestMs, jitter } = coolingRules

/**
 * What an organisation calls its models is nobody else's to see, so the list of breakers that have moved has those of the
 * installation alone; and callers may name models that do not exist, which must not fill it.
 */
const MOST_LISTED = 1000
const LISTED_SECONDS = 86_400

/** What is known of a target that nobody calls any more is forgotten after so long. */
const KEPT_MS = 600_000

/**
 * What came of a call of a target. It is sent for what changes anything: a failure, a refusal for want of capacity, and
 * whatever became of a call that tried a target which was out. What went well elsewhere comes along.
 *
 * KEYS  1 the target's state (`keys.ts`) · 2 breakers that have moved
 * ARGV  now in ms · what: fail, cool, good (a probe) or free (a probe that nothing came of) · calls that went well since
 *       this isolate's last word, as `bucket=count …` · place of the probe, empty if it was none · until when it had it ·
 *       cool: until when, in ms, 0 if nobody said · a random number, 0 to 1
 * Reply {opened, closed or nothing · until when it is open, 0 if it is closed · until when it is cooling, 0 if it is not}
 *
 * Where a target is open or half open only its probes count: a call that began before is old news, and so is a probe whose
 * place has been given to another.
 */
export const noteScript: RedisScript = {
  text: `local now, what, told, place, lease = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local kept = redis.call('HMGET', KEYS[1], 'u', 'k', 'g', 'c', 'q', 'f', 'w0', 'w1', 'w2', 'w3', 'w4', 'w5')
local function number(i) return kept[i] and tonumber(kept[i]) or 0 end
local function text(value) return string.format('%.0f', value) end
local open, cool, moved = number(1), number(4), ''
local isProbe = place ~= '' and redis.call('HGET', KEYS[1], place) == lease
if isProbe then redis.call('HDEL', KEYS[1], place) end
local function openFor(times)
  open = now + math.min(${longestOpenMs}, ${openMs} * 2 ^ (times - 1))
  redis.call('HDEL', KEYS[1], 'f', 'g', 'p1', 'p2', 'p3', 'w0', 'w1', 'w2', 'w3', 'w4', 'w5')
  redis.call('HSET', KEYS[1], 'u', text(open), 'k', times)
  moved = 'opened'
end
if open > 0 then
  if isProbe and what == 'fail' then
    openFor(number(2) + 1)
  elseif isProbe and what == 'good' then
    if number(3) + 1 >= ${goodProbes} then
      open, moved = 0, 'closed'
      redis.call('HDEL', KEYS[1], 'u', 'k', 'g', 'q', 'p1', 'p2', 'p3')
    else
      redis.call('HINCRBY', KEYS[1], 'g', 1)
    end
  end
elseif what == 'fail' or told ~= '' then
  local bucket, windows, calls, failures = math.floor(now / ${bucketMs}), {}, 0, 0
  for i = 0, ${buckets - 1} do
    local at, all, bad = string.match(kept[7 + i] or '', '^(%d+):(%d+):(%d+)$')
    if at and tonumber(at) > bucket - ${buckets} then windows[i] = {tonumber(at), tonumber(all), tonumber(bad)} end
  end
  local function add(at, all, bad)
    local window = windows[at % ${buckets}]
    if at <= bucket - ${buckets} or window and window[1] > at then return end
    if not window or window[1] < at then
      window = {at, 0, 0}
      windows[at % ${buckets}] = window
    end
    window[2], window[3] = window[2] + all, window[3] + bad
  end
  for at, count in string.gmatch(told, '(%d+)=(%d+)') do add(tonumber(at), tonumber(count), 0) end
  local inRow = told == '' and number(6) or 0
  if what == 'fail' then
    add(bucket, 1, 1)
    inRow = inRow + 1
  end
  for _, window in pairs(windows) do calls, failures = calls + window[2], failures + window[3] end
  local isFull = calls >= ${leastCalls} and failures >= calls * ${failureShare}
  if what == 'fail' and (inRow >= ${failuresInRow} or isFull) then
    openFor(1)
  else
    redis.call('HSET', KEYS[1], 'f', inRow)
    for i, window in pairs(windows) do
      redis.call('HSET', KEYS[1], 'w' .. i, text(window[1]) .. ':' .. text(window[2]) .. ':' .. text(window[3]))
    end
  end
end
if what == 'cool' then
  local untilMs, refusals = tonumber(ARGV[6]), number(5)
  if told ~= '' then refusals = 0 end
  if untilMs == 0 and cool <= now then
    untilMs = now + math.floor(math.min(${longestMs}, ${firstMs} * 2 ^ refusals) * (1 + ${jitter} * (2 * tonumber(ARGV[7]) - 1)))
    redis.call('HSET', KEYS[1], 'q', math.min(refusals + 1, 10))
  end
  if untilMs > cool then
    cool = untilMs
    redis.call('HSET', KEYS[1], 'c', text(cool))
  end
end
local id = string.sub(KEYS[1], 5)
if moved ~= '' and string.sub(id, 1, 4) ~= 'prv_' then
  if redis.call('HLEN', KEYS[2]) < ${MOST_LISTED} or redis.call('HEXISTS', KEYS[2], id) == 1 then
    redis.call('HSET', KEYS[2], id, text(open))
    redis.call('EXPIRE', KEYS[2], ${LISTED_SECONDS})
  end
end
redis.call('PEXPIRE', KEYS[1], text(math.max(now, open, cool) - now + ${KEPT_MS}))
return {moved, open, cool > now and cool or 0}`,
}

export type TargetNote = {
  what: 'fail' | 'cool' | 'good' | 'free'
  nowMs: number
  /** Calls that went well since this isolate's last word, by the number of their bucket. */
  good?: ReadonlyMap<number, number> | undefined
  probe?: { slot: number; untilMs: number } | undefined
  /** Of `cool`: until when the target said that it has no capacity, Unix ms; undefined if it did not say. */
  untilMs?: number | undefined
  random: number
}

/** How a target is after what was noted; times are Unix ms, 0 for never. */
export type TargetNoted = { moved: 'opened' | 'closed' | undefined; openUntilMs: number; coolUntilMs: number }

/** Tells all isolates what came of a call. Throws `DependencyError` where Redis is away. */
export async function noteTarget(redis: Redis, id: string, note: TargetNote): Promise<TargetNoted> {
  const { what, nowMs, good, probe, untilMs = 0, random } = note
  const told = [...(good ?? [])].map(([bucket, count]) => `${bucket}=${count}`).join(' ')
  const place = probe ? [`p${probe.slot}`, probe.untilMs] : ['', '']
  const reply = await redis.run(
    noteScript,
    [redisKeys.target(id), redisKeys.breakers()],
    [nowMs, what, told, ...place, untilMs, random],
  )
  if (!Array.isArray(reply)) throw new TypeError('admission: the script of notes answered no list')
  const [moved, openUntilMs, coolUntilMs] = reply
  return {
    moved: moved === 'opened' || moved === 'closed' ? moved : undefined,
    openUntilMs: Number(openUntilMs),
    coolUntilMs: Number(coolUntilMs),
  }
}

/**
 * KEYS  1 the target's state · 2 breakers that have moved
 * ARGV  what the breaker goes by
 */
const forgetScript: RedisScript = {
  text: `redis.call('DEL', KEYS[1])
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then redis.call('HSET', KEYS[2], ARGV[1], '0') end
return 1`,
}

/**
 * From now on nothing stands in the way of a target. The list of breakers that have moved gets no name that it does not
 * have: anybody may ask for any. Throws `DependencyError` where Redis is away.
 */
export async function forgetTarget(redis: Redis, id: string): Promise<void> {
  await redis.run(forgetScript, [redisKeys.target(id), redisKeys.breakers()], [id])
}
