/**
 * What a vote of several models is worth: members answer with numbers, in ways of their own, and are right as often as
 * the simulated world lets them be. The best that anybody could make of the same answers is known there.
 */

import { reliabilityOf } from '../../src/features/ensembles/answers.ts'
import { agreementOf } from '../../src/features/ensembles/confidence.ts'
import { choose, isDecided, type MemberAnswer } from '../../src/features/ensembles/service.ts'
import { createWorld, type Task, type World, type WorldModel } from './routing-world.ts'

/** Models of about the same ability: between others a vote is for the best of them to lose. */
const MEMBERS = ['mistral-large', 'deepseek-chat', 'qwen-max']
const settings = { strategy: 'majority', threshold: 0.75, preferred: [], weights: {}, least: 2 } as const

/** Wrong answers that a task leads to, and how often a wrong member gives the one that leads most astray. */
const WRONG_ANSWERS = 10
const POPULAR = 0.3
/** How difficult hard tasks are in this world, in the middle and around it, and how finely that is looked at. */
const MIDDLE = 7
const SPREAD = 0.8
const GRID = Array.from({ length: 41 }, (_none, at) => (at - 20) * 0.15)

export type Votes = {
  tasks: number
  /** Shares of right answers. */
  majority: number
  bayes: number
  best: number
  /** Calls that a sequence needs, as a share of asking all. */
  calls: number
  /** Tasks to which a sequence gave another answer than asking all. */
  differing: number
}

/** The vote of three on hard tasks, and the same in a sequence, against what could be known of their answers. */
export function compareVotes({ seed, tasks }: { seed: number; tasks: number }): Votes {
  const world = createWorld(seed)
  const members = world.models.filter(({ model }) => MEMBERS.includes(model))
  const records = members.map(() => ({ wins: 0, answers: 0 }))
  const right = { majority: 0, bayes: 0, members: members.map(() => 0) }
  let [calls, differing] = [0, 0]
  for (let at = 0; at < tasks; at += 1) {
    const task = hardTask(world)
    const { truth, numbers } = answersTo(task, members, world)
    const answers = numbers.map((number, member) => answerOf(number, { world, member, record: records[member] }))
    const chosen = choose({ answers, settings, members: members.length })
    const all = numbers[chosen?.winner ?? 0]
    const inTurn = sequence(answers)
    calls += inTurn.calls
    if (numbers[inTurn.winner] !== all) differing += 1
    right.majority += Number(all === truth)
    right.bayes += Number(bayesVote(numbers, { task, members, world }) === truth)
    numbers.forEach((number, member) => {
      right.members[member] = (right.members[member] ?? 0) + Number(number === truth)
    })
    records.forEach((record, member) => {
      record.answers += 1
      record.wins += Number(chosen?.agreeing.includes(member) ?? false)
    })
  }
  return {
    tasks,
    majority: right.majority / tasks,
    bayes: right.bayes / tasks,
    best: Math.max(...right.members) / tasks,
    calls: calls / (tasks * members.length),
    differing,
  }
}

function hardTask({ nextTask }: World): Task {
  for (;;) {
    const task = nextTask()
    if (task.kind === 'complex') return task
  }
}

const chanceOf = ({ qualityOf }: World, model: WorldModel, task: Task): number => qualityOf(model, task) / 10

function answersTo(task: Task, members: readonly WorldModel[], world: World): { truth: number; numbers: number[] } {
  const truth = 100 + Math.floor(world.random() * 800)
  const popular = Math.floor(world.random() * WRONG_ANSWERS)
  const numbers = members.map((model) => {
    if (world.random() < chanceOf(world, model, task)) return truth
    const other = world.random() < POPULAR ? popular : Math.floor(world.random() * WRONG_ANSWERS)
    return truth + 1 + other
  })
  return { truth, numbers }
}

type Said = { world: World; member: number; record: { wins: number; answers: number } | undefined }

/** Nobody writes a number like everybody else. */
function answerOf(number: number, { world, member, record }: Said): MemberAnswer {
  const ways = [`${number}`, ` ${number}.`, `**${number}**`, `${number}.0`, `\`${number}\`\n`]
  return {
    provider: MEMBERS[member] ?? '',
    text: ways[Math.floor(world.random() * ways.length)] ?? '',
    finishReason: 'stop',
    latencyMs: 2000,
    completionTokens: 3,
    costNanoUsd: 100,
    tokenProbability: undefined,
    reliability: reliabilityOf(record ?? { wins: 0, answers: 0 }),
  }
}

/** The members one after another, as long as those who are left can change what comes out. */
function sequence(answers: readonly MemberAnswer[]): { winner: number; calls: number } {
  for (let asked = 2; asked < answers.length; asked += 1) {
    const some = answers.slice(0, asked)
    if (!isDecided({ members: answers.length, clusters: agreementOf(some).clusters })) continue
    return { winner: choose({ answers: some, settings, members: answers.length })?.winner ?? 0, calls: asked }
  }
  return { winner: choose({ answers, settings, members: answers.length })?.winner ?? 0, calls: answers.length }
}

type Known = { task: Task; members: readonly WorldModel[]; world: World }

/**
 * The likeliest of the given answers for somebody who knows how good each member is at every difficulty, how
 * difficulty is spread in tasks of this kind, and how wrong answers come about; not how difficult this task is.
 */
function bayesVote(numbers: readonly number[], known: Known): number {
  let best = { number: numbers[0] ?? 0, likelihood: -1 }
  for (const candidate of new Set(numbers)) {
    const wrong = numbers.filter((number) => number !== candidate)
    const likelihood = chanceOfBeing(candidate, numbers, known) * wrongPattern(wrong)
    if (likelihood > best.likelihood) best = { number: candidate, likelihood }
  }
  return best.number
}

/** How likely those who gave this answer are right and the others wrong, over all difficulties of such tasks. */
function chanceOfBeing(candidate: number, numbers: readonly number[], { task, members, world }: Known): number {
  let likelihood = 0
  for (const step of GRID) {
    const there = { ...task, difficulty: MIDDLE + step }
    const chances = members.map((model, member) => {
      const chance = chanceOf(world, model, there)
      return numbers[member] === candidate ? chance : 1 - chance
    })
    likelihood += Math.exp(-((step / SPREAD) ** 2) / 2) * chances.reduce((product, chance) => product * chance, 1)
  }
  return likelihood
}

/** How likely wrong members are to be wrong in just these ways. */
function wrongPattern(wrong: readonly number[]): number {
  const often = POPULAR + (1 - POPULAR) / WRONG_ANSWERS
  const seldom = (1 - POPULAR) / WRONG_ANSWERS
  const same = often ** 2 + (WRONG_ANSWERS - 1) * seldom ** 2
  if (wrong.length < 2) return wrong.length === 1 ? 1 / WRONG_ANSWERS : 1
  return wrong[0] === wrong[1] ? same / WRONG_ANSWERS : (1 - same) / (WRONG_ANSWERS * (WRONG_ANSWERS - 1))
}
