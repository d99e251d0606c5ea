/**
 * What routing is worth, in a simulated world: `node scripts/bench/routing.ts [tasks]`. Nothing leaves the process. Ends
 * with 1 where a target is missed.
 */
import { strategies } from '../../src/core/routing.ts'
import { arrange, type Option } from '../../src/features/routing/plan.ts'
import { type Figure, isMissed, lineOf } from './report.ts'
import { compareStrategies, type Outcome } from './routing-choices.ts'
import { compareVotes } from './routing-ensembles.ts'

const SEED = 20_261
const TASKS = 20_000
const OPTIONS = 50

const tasks = Number(process.argv[2] ?? TASKS)
const outcomes = compareStrategies({ seed: SEED, tasks }, strategies)
const figures: Figure[] = [...savings(outcomes), ...voting(), planning()]

console.log(['strategy'.padEnd(14), 'USD a call', 'quality', 'seconds', 'relaxed'].join('  '))
for (const { strategy, costUsd, quality, latencyMs, relaxed } of outcomes) {
  const cells = [
    costUsd.toFixed(6).padStart(10),
    quality.toFixed(3).padStart(7),
    (latencyMs / 1000).toFixed(2).padStart(7),
  ]
  console.log([strategy.padEnd(14), ...cells, `${(100 * relaxed).toFixed(1)} %`.padStart(7)].join('  '))
}
console.log()
for (const figure of figures) console.log(lineOf(figure))
process.exitCode = figures.some(isMissed) ? 1 : 0

/** Shares of what the best model for everything costs, and of how good it is. */
function savings(all: readonly Outcome[]): Figure[] {
  const of = (name: string): Outcome => {
    const found = all.find(({ strategy }) => strategy === name)
    if (!found) throw new Error(`no ${name}`)
    return found
  }
  const [best, smart] = [of('quality'), of('smart')]
  return [
    { name: 'smart: cost of the best model for everything', value: smart.costUsd / best.costUsd, unit: 'x', most: 0.6 },
    { name: 'smart: quality that it gives up', value: 1 - smart.quality / best.quality, unit: 'x', most: 0.01 },
  ]
}

/** How close a vote comes to the best that could be made of the same answers, and what a sequence saves. */
function voting(): Figure[] {
  const { majority, bayes, best, calls, differing } = compareVotes({ seed: SEED, tasks })
  return [
    { name: 'vote of three: wrong beyond the unavoidable', value: bayes - majority, unit: 'x', most: 0.005 },
    { name: 'vote of three: right, beyond the best of them', value: majority - best, unit: 'x' },
    { name: 'vote of three in turn: calls of asking all', value: calls, unit: 'x', most: 0.8 },
    { name: 'vote of three in turn: other answers', value: differing, unit: '', most: 0 },
  ]
}

/** The slowest strategy over as many options as are ever weighed. */
function planning(): Figure {
  const options = Array.from(
    { length: OPTIONS },
    (_, at): Option => ({
      id: `provider${at % 7}/model-${at}`,
      priority: at % 5,
      weight: 1 + (at % 3),
      cost_nanos: (at * 7919) % 9_000_000,
      latency_ms: 200 + ((at * 104_729) % 4000),
      quality: 6 + (at % 40) / 10,
      load: (at % 10) / 10,
      health: 1,
      error_rate: 0,
    }),
  )
  const soft = { max_latency_ms: 3000, min_quality: 8 }
  const micros = strategies.map((strategy) => {
    const inputs = { strategy, complexity: 'medium', options, most: 3, random: 0.3, turn: 7, soft } as const
    const rounds = Array.from({ length: 30 }, () => {
      const beganMs = performance.now()
      for (let at = 0; at < 200; at += 1) arrange(inputs)
      return ((performance.now() - beganMs) / 200) * 1000
    })
    return Math.min(...rounds)
  })
  return { name: `plan over ${OPTIONS} options`, value: Math.max(...micros), unit: 'µs', most: 300, spread: micros }
}
