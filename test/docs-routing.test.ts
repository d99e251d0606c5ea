import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { complexities, strategies } from '../src/core/routing.ts'
import { classCaps } from '../src/features/routing/complexity.ts'
import { arrange, type Option } from '../src/features/routing/plan.ts'

const text = readFileSync(`${import.meta.dirname}/../docs/routing.md`, 'utf8')

/** The cells of the table between two marks of docs/routing.md, without its head. */
function tableOf(mark: string): string[][] {
  const [, after = ''] = text.split(`<!-- ${mark} -->`)
  const [part = ''] = after.split(`<!-- /${mark} -->`)
  return part
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('|--'))
    .slice(1)
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )
}

const Figures = z.object({
  id: z.string(),
  priority: z.coerce.number(),
  weight: z.coerce.number(),
  cost_nanos: z.coerce.number(),
  latency_ms: z.coerce.number(),
  quality: z.coerce.number(),
  load: z.coerce.number(),
  health: z.coerce.number(),
  error_rate: z.coerce.number(),
})
const names = Object.keys(Figures.shape)
const options: Option[] = tableOf('options').map((cells) =>
  Figures.parse(Object.fromEntries(cells.map((cell, at) => [names[at], cell]))),
)

const orders = tableOf('orders').map(([name = '', order = '', propensity = '']) => {
  const [strategy = '', complexity = 'simple'] = name.replaceAll('`', '').split(', ')
  return {
    strategy: z.enum(strategies).parse(strategy),
    complexity: z.enum(complexities).parse(complexity),
    order,
    propensity,
  }
})

describe('the worked example of docs/routing.md', () => {
  it.each(orders)(
    'is what $strategy does with a $complexity request',
    ({ strategy, complexity, order, propensity }) => {
      const { maxCostNanoUsd, maxLatencyMs, minQuality } = classCaps[complexity]
      const soft = {
        ...(maxCostNanoUsd !== undefined && { max_cost_nanos: maxCostNanoUsd }),
        ...(maxLatencyMs !== undefined && { max_latency_ms: maxLatencyMs }),
        ...(minQuality !== undefined && { min_quality: minQuality }),
      }
      const made = arrange({
        strategy,
        options,
        complexity,
        most: 3,
        random: 0.4,
        turn: 6,
        ...(strategy === 'smart' && { soft }),
      })
      expect(made.ordered.map(({ id }) => id).join(', ')).toBe(order)
      expect(made.propensity).toBeCloseTo(Number(propensity), 3)
    },
  )

  it('leaves no strategy out', () => {
    expect(new Set(orders.map(({ strategy }) => strategy))).toEqual(new Set(strategies))
  })
})
