/**
 * Money is a whole number of nano-USD (1 USD = 1,000,000,000). Unit prices are nano-USD per 1,000,000 units, so that
 * "2.50 USD per million tokens" is the integer 2,500,000,000 and no figure of a price list is ever a fraction.
 */

const UNITS_PER_PRICE = 1_000_000
const NANO_PER_USD = 1_000_000_000
const NANO_DECIMALS = 9

/** A count of units (tokens) and what 1,000,000 of them cost, in nano-USD. */
export type ChargeLine = { units: number; nanoUsdPerMillion: number }

/**
 * The cost of all lines together in nano-USD, rounded up once, at the end.
 * Exact for five lines of counts up to 2^31 and prices up to 10^12. Throws `RangeError` on a negative or fractional
 * figure, and when the cost itself passes the safe integers (9 million USD).
 */
export function chargeNanoUsd(lines: readonly ChargeLine[]): number {
  let total = 0
  for (const { units, nanoUsdPerMillion } of lines) {
    assertWhole(units, 'units')
    assertWhole(nanoUsdPerMillion, 'nanoUsdPerMillion')
    total += units * nanoUsdPerMillion
  }
  // No term is negative, so a sum in the safe range proves that every product on the way was exact too.
  if (total <= Number.MAX_SAFE_INTEGER) {
    const rest = total % UNITS_PER_PRICE
    return (total - rest) / UNITS_PER_PRICE + (rest > 0 ? 1 : 0)
  }
  return chargeBeyondSafeRange(lines)
}

function chargeBeyondSafeRange(lines: readonly ChargeLine[]): number {
  const divisor = BigInt(UNITS_PER_PRICE)
  const total = lines.reduce((sum, line) => sum + BigInt(line.units) * BigInt(line.nanoUsdPerMillion), 0n)
  const charge = Number((total + divisor - 1n) / divisor)
  assertWhole(charge, 'charge')
  return charge
}

function assertWhole(value: number, what: string): void {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${what} must be a whole number, got ${value}`)
}

/**
 * Nano-USD as the USD number of a JSON answer. Below 8 million USD (8 * 10^15) it has at most nine decimals and
 * `nanoFromUsd` gives back the same integer.
 */
export function usdFromNano(nanoUsd: number): number {
  return nanoUsd / NANO_PER_USD
}

/**
 * Nano-USD as plain decimal USD: at most nine decimals, no exponent, no zeros at the end. Sums of many rows come as
 * `bigint`. Throws `RangeError` for what is negative or no whole number.
 */
export function usdTextFromNano(nanoUsd: number | bigint): string {
  if (typeof nanoUsd === 'number') assertWhole(nanoUsd, 'amount')
  else if (nanoUsd < 0n) throw new RangeError(`amount must not be negative, got ${nanoUsd}`)
  const digits = String(nanoUsd).padStart(NANO_DECIMALS + 1, '0')
  const fraction = digits.slice(-NANO_DECIMALS).replace(/0+$/, '')
  return digits.slice(0, -NANO_DECIMALS) + (fraction && `.${fraction}`)
}

const DECIMAL = /^(\d+)(?:\.(\d+))?(?:e([+-]?\d{1,3}))?$/i

/**
 * USD to the nearest nano-USD (halves up), computed on the decimal digits so that no binary fraction takes part.
 * Throws `RangeError` when it is negative, not a decimal number, or beyond the safe integers.
 */
export function nanoFromUsd(usd: number | string): number {
  const match = DECIMAL.exec(String(usd).trim())
  if (!match) throw new RangeError(`not an amount of USD: ${usd}`)
  const [, whole = '', fraction = '', exponent = '0'] = match
  const digits = whole + fraction
  const pointAt = whole.length + Number(exponent) + NANO_DECIMALS
  const kept = pointAt <= 0 ? '' : digits.slice(0, pointAt).padEnd(pointAt, '0')
  const roundsUp = pointAt >= 0 && pointAt < digits.length && digits.charAt(pointAt) >= '5'
  const nanoUsd = Number(BigInt(kept === '' ? '0' : kept) + (roundsUp ? 1n : 0n))
  assertWhole(nanoUsd, 'amount')
  return nanoUsd
}

/** Whether a USD number stands for one whole number of nano-USD and the other way round. Throws as `nanoFromUsd`. */
export const isWholeNano = (usd: number): boolean => usdFromNano(nanoFromUsd(usd)) === usd
