import { describe, expect, it } from 'vitest'
import { compareStrategies } from '../../scripts/bench/routing-choices.ts'
import { createWorld } from '../../scripts/bench/routing-world.ts'
import { count } from '../support/lane.ts'

describe('smart routing in a world where everything is known', () => {
  it('saves two fifths of the cost for a hundredth of the quality at most, over several worlds', () => {
    const worlds = [1, 7, 42, 20_261].map((seed) => {
      const [best, smart] = compareStrategies({ seed, tasks: count(800, 20_000) }, ['quality', 'smart'])
      if (!best || !smart) throw new Error('there are two')
      return { saved: 1 - smart.costUsd / best.costUsd, lost: 1 - smart.quality / best.quality }
    })
    for (const { saved } of worlds) expect(saved).toBeGreaterThanOrEqual(0.4)
    expect(worlds.reduce((sum, { lost }) => sum + lost, 0) / worlds.length).toBeLessThanOrEqual(0.01)
  })

  it('is better than the cheapest, and cheaper than chance', () => {
    const [smart, cost, random] = compareStrategies({ seed: 5, tasks: count(500, 20_000) }, ['smart', 'cost', 'random'])
    expect(smart?.quality).toBeGreaterThan(cost?.quality ?? 10)
    expect(smart?.costUsd).toBeLessThan(random?.costUsd ?? 0)
  })
})

describe('the simulated world', () => {
  it('follows from its seed', () => {
    const tasksOf = (seed: number) => Array.from({ length: 20 }, createWorld(seed).nextTask)
    expect(tasksOf(3)).toEqual(tasksOf(3))
    expect(tasksOf(3)).not.toEqual(tasksOf(4))
  })

  it('has better answers from better models, and worse ones to harder tasks', () => {
    const { models, nextTask, qualityOf } = createWorld(1)
    const task = nextTask()
    const sorted = models.toSorted((one, other) => one.ability - other.ability)
    const qualities = sorted.map((model) => qualityOf(model, task))
    expect(qualities).toEqual(qualities.toSorted((one, other) => one - other))
    const [model] = models
    if (!model) throw new Error('there is a model')
    expect(qualityOf(model, { ...task, difficulty: task.difficulty + 1 })).toBeLessThan(qualityOf(model, task))
  })
})
