import { addUp, type Batch, BUCKET_RATIO, FADE_FAILURES_MS, FADE_MS, type Measured } from '../../core/figures.ts'
import type { RedisCommand } from '../../core/redis.ts'
import { redisKeys } from '../admission/service.ts'

/** A target that nobody calls for so long is unknown again. */
const KEPT_SECONDS = 14 * 86_400

/**
 * Adds what batches of calls told to what is known of their targets. Histograms fade as time passes: their counts are
 * multiplied before anything is added, and what has faded away is dropped.
 *
 * KEYS  per target: its histograms, its figures
 * ARGV  now in ms · per target: calls · failures · tokens · writing ms · latencies · times to first content · kinds of
 *       tasks, and for each: name · output tokens.  A histogram is `bucket=count …`
 */
const script = `local now, arg = tonumber(ARGV[1]), 2
local function fade(text, factor, more)
  local counts, total = {}, 0
  for bucket, count in string.gmatch(text or '', '(%d+)=([%d%.e+-]+)') do
    local left = tonumber(count) * factor
    if left > 0.01 then counts[tonumber(bucket)] = left end
  end
  for bucket, count in string.gmatch(more, '(%d+)=([%d%.e+-]+)') do
    bucket = tonumber(bucket)
    counts[bucket] = (counts[bucket] or 0) + tonumber(count)
  end
  local order, parts = {}, {}
  for bucket, count in pairs(counts) do
    order[#order + 1] = bucket
    total = total + count
  end
  table.sort(order)
  for i, bucket in ipairs(order) do parts[i] = string.format('%d=%.4g', bucket, counts[bucket]) end
  return {order = order, counts = counts, total = total, text = table.concat(parts, ' ')}
end
local function quantile(hist, share)
  local rank, seen = hist.total * share, 0
  for _, bucket in ipairs(hist.order) do
    seen = seen + hist.counts[bucket]
    if seen >= rank then return string.format('%.0f', ${BUCKET_RATIO} ^ bucket) end
  end
  return 'null'
end
for k = 1, #KEYS, 2 do
  local old = redis.call('HMGET', KEYS[k], 'at', 'n', 'l', 't', 'w', 'm', 'e', 'r')
  local since = math.max(0, now - (tonumber(old[1]) or now))
  local slow, fast = 0.5 ^ (since / ${FADE_MS}), 0.5 ^ (since / ${FADE_FAILURES_MS})
  local calls, failures = tonumber(ARGV[arg]), tonumber(ARGV[arg + 1])
  local n = (tonumber(old[2]) or 0) * slow + calls
  local written = (tonumber(old[5]) or 0) * slow + tonumber(ARGV[arg + 2])
  local writing = (tonumber(old[6]) or 0) * slow + tonumber(ARGV[arg + 3])
  local failed = (tonumber(old[7]) or 0) * fast + failures
  local recent = (tonumber(old[8]) or 0) * fast + calls
  local latencies, ttfts = fade(old[3], slow, ARGV[arg + 4]), fade(old[4], slow, ARGV[arg + 5])
  local tasks = tonumber(ARGV[arg + 6])
  arg = arg + 7
  for _ = 1, tasks do
    local field = 'o:' .. ARGV[arg]
    local outputs = fade(redis.call('HGET', KEYS[k], field), slow, ARGV[arg + 1])
    redis.call('HSET', KEYS[k], field, outputs.text)
    redis.call('HSET', KEYS[k + 1], field, quantile(outputs, 0.75))
    arg = arg + 2
  end
  redis.call('HSET', KEYS[k], 'at', string.format('%.0f', now), 'n', string.format('%.6g', n), 'l', latencies.text,
    't', ttfts.text, 'w', string.format('%.6g', written), 'm', string.format('%.6g', writing),
    'e', string.format('%.6g', failed), 'r', string.format('%.6g', recent))
  local speed = 'null'
  if writing > 0 and written > 0 then speed = string.format('%.2f', written / writing * 1000) end
  redis.call('HSET', KEYS[k + 1], 'f', string.format('[%.0f,%.6g,%s,%s,%s,%s,%.6g,%.6g]', now, n,
    quantile(latencies, 0.5), quantile(latencies, 0.95), quantile(ttfts, 0.5), speed, failed, recent))
  redis.call('EXPIRE', KEYS[k], ${KEPT_SECONDS})
  redis.call('EXPIRE', KEYS[k + 1], ${KEPT_SECONDS})
end
return 1`

/** What calls told of their targets, as one command of a flush; undefined when they told nothing. */
export function figuresCommand(calls: readonly Measured[], nowMs: number): RedisCommand | undefined {
  if (calls.length === 0) return undefined
  const batches = addUp(calls)
  const keys = batches.flatMap(({ id }) => [redisKeys.histograms(id), redisKeys.figures(id)])
  return ['EVAL', script, keys, [nowMs, ...batches.flatMap(argsOf)]]
}

function argsOf(batch: Batch): (string | number)[] {
  return [
    batch.calls,
    batch.failures,
    batch.tokens,
    batch.writingMs,
    textOf(batch.latencies),
    textOf(batch.ttfts),
    batch.outputs.size,
    ...[...batch.outputs].flatMap(([task, histogram]) => [task, textOf(histogram)]),
  ]
}

const textOf = (histogram: ReadonlyMap<number, number>): string =>
  [...histogram].map(([bucket, count]) => `${bucket}=${count}`).join(' ')
