import { failuresOf, percentile, type Seen } from './faults-load.ts'
import type { Figure } from './report.ts'

export const msOf = ({ startedMs, endedMs }: Seen): number => endedMs - startedMs

export const lostOf = (seen: readonly Seen[]): Seen[] => seen.filter(({ isAnswered }) => !isAnswered)

export const counted = (name: string, value: number): Figure => ({ name, value, unit: '' })

export const none = (name: string, value: number): Figure => ({ name, value, unit: '', most: 0 })

/** How many calls there were and how long they took; what else than an answer they met is printed. */
export function callFigures(seen: readonly Seen[]): Figure[] {
  const failures = failuresOf(seen)
  if (failures !== '') console.log(`  without an answer: ${failures}`)
  const times = seen.map(msOf)
  return [
    counted('calls', seen.length),
    { name: 'latency, median', value: percentile(times, 0.5), unit: 'ms' },
    { name: '… p99', value: percentile(times, 0.99), unit: 'ms' },
  ]
}
