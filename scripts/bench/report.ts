/** One measured number; its target is `most`, or `least`. */
export type Figure = {
  name: string
  value: number
  unit: 'ms' | 'µs' | 's' | 'kB' | 'MB' | 'x' | '%' | ''
  most?: number | undefined
  least?: number | undefined
  /** Every round's value, to show how much they differ. */
  spread?: readonly number[] | undefined
}

const shown = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 3))

export const isMissed = ({ value, most, least }: Figure): boolean =>
  (most !== undefined && !(value <= most)) || (least !== undefined && !(value >= least))

/** A figure as a line: name, value, range over the rounds, and its target. */
export function lineOf(figure: Figure): string {
  const { name, value, unit, most, least, spread = [] } = figure
  const range = spread.length > 0 ? `(${shown(Math.min(...spread))} to ${shown(Math.max(...spread))})` : ''
  const bound = most === undefined ? least : most
  const target =
    bound === undefined ? '' : `target ${most === undefined ? '≥' : '≤'} ${bound}${unit === '' ? '' : ` ${unit}`}`
  const verdict = bound === undefined ? '' : isMissed(figure) ? 'MISSED' : 'met'
  return [name.padEnd(46), `${shown(value)} ${unit}`.padEnd(12), range.padEnd(20), target.padEnd(18), verdict]
    .join(' ')
    .trimEnd()
}
