import type { LimitWindow } from '../../core/admission.ts'
import { unfit } from '../../core/errors.ts'
import type { LimitRow } from './compile.ts'
import type { LimitRule } from './schema.ts'

/** A level of a bucket, in requests times milliseconds, has to stay a whole number that JavaScript and Lua know. */
const MAX_BURST = 1_000_000
const MAX_BUCKET_AMOUNT = 1_000_000_000
const MAX_CONCURRENCY = 10_000

/** The columns that say what a limit allows. */
export type StoredRule = Pick<
  LimitRow,
  'metric' | 'algorithm' | 'window_seconds' | 'calendar' | 'amount' | 'burst' | 'mode'
>

type Algorithm = LimitRow['algorithm']

const algorithms: Readonly<Record<LimitRow['metric'], readonly Algorithm[]>> = {
  requests: ['token_bucket', 'sliding_window', 'fixed_window'],
  tokens: ['sliding_window', 'fixed_window'],
  concurrency: ['concurrency'],
}

function usualAlgorithm(metric: LimitRow['metric'], window: LimitWindow | undefined): Algorithm {
  if (metric === 'concurrency') return 'concurrency'
  if (typeof window === 'string') return 'fixed_window'
  return metric === 'requests' ? 'token_bucket' : 'sliding_window'
}

/** A rule as it is stored. Throws 422 for parts that do not go together. */
export function checkRule({ metric, window, amount, burst, mode, ...given }: LimitRule): StoredRule {
  const algorithm = given.algorithm ?? usualAlgorithm(metric, window)
  if (!algorithms[metric].includes(algorithm)) {
    throw unfit('algorithm', `${metric} are counted by ${algorithms[metric].join(' or ')}`)
  }
  checkWindow(algorithm, window)
  checkAmounts({ algorithm, amount, burst: burst ?? null })
  return {
    metric,
    algorithm,
    window_seconds: typeof window === 'number' ? window : null,
    calendar: typeof window === 'string' ? window : null,
    amount,
    burst: burst ?? null,
    mode,
  }
}

function checkWindow(algorithm: Algorithm, window: LimitWindow | undefined): void {
  if (algorithm === 'concurrency') {
    if (window !== undefined) throw unfit('window', 'concurrency has none')
  } else if (algorithm === 'fixed_window') {
    if (typeof window !== 'string') throw unfit('window', 'a fixed window is a day or a month')
  } else if (typeof window !== 'number') {
    throw unfit('window', `a ${algorithm.replace('_', ' ')} needs seconds`)
  }
}

/** Throws 422. What an amount and a burst may be depends on how they are counted. */
export function checkAmounts({ algorithm, amount, burst }: Pick<StoredRule, 'algorithm' | 'amount' | 'burst'>): void {
  if (algorithm === 'concurrency' && amount > MAX_CONCURRENCY) {
    throw unfit('amount', `at most ${MAX_CONCURRENCY} calls at once`)
  }
  if (algorithm !== 'token_bucket') {
    if (burst !== null) throw unfit('burst', 'only a token bucket has one')
    return
  }
  if (amount > MAX_BUCKET_AMOUNT) throw unfit('amount', `at most ${MAX_BUCKET_AMOUNT} in a token bucket`)
  if ((burst ?? amount) > MAX_BURST) throw unfit('burst', `at most ${MAX_BURST}; say it where the amount is larger`)
}
