import { afterAll, beforeAll, expect, it } from 'vitest'
import { count } from '../../support/lane.ts'
import { DIMENSIONS, openWorld, type SemanticWorld } from './world.ts'

let world: SemanticWorld
beforeAll(async () => {
  world = await openWorld()
})
afterAll(() => world?.close())

const SUBJECTS = count(4, 8)
const TEXTS = 60
const RELEVANT = 15
const WORDS = 3

/** Numbers that look random and are the same in every run. */
function numbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}
const next = numbers(2026)
const normal = () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())
const direction = () => unit(Array.from({ length: DIMENSIONS }, normal))
const unit = (vector: number[]) => {
  const length = Math.hypot(...vector)
  return vector.map((value) => value / length)
}
const mix = (one: number[], share: number, other: number[]) =>
  unit(one.map((value, at) => value * share + (other[at] ?? 0) * Math.sqrt(1 - share * share)))

/**
 * Subjects with a question and texts each. What belongs to it is nearer to it by its meaning, and has more of its words,
 * than what does not; neither sign alone tells all of them apart.
 */
function generate() {
  const vectors = new Map<string, number[]>()
  const subjects = Array.from({ length: SUBJECTS }, (_, subject) => {
    const words = Array.from({ length: WORDS }, (_word, at) => `keyword${subject}x${at}`)
    const question = words.join(' ')
    const centre = direction()
    vectors.set(question, centre)
    const chunks = Array.from({ length: TEXTS }, (_text, at) => {
      const isRelevant = at < RELEVANT
      const own = words.filter(() => next() < (isRelevant ? 0.65 : 0.25))
      const filler = Array.from({ length: 12 }, () => `filler${Math.floor(next() * 400)}`)
      const content = [`text${subject}n${at}`, ...own, ...filler].join(' ')
      const cosine = (isRelevant ? 0.62 : 0.5) + normal() * 0.09
      vectors.set(content, mix(centre, Math.min(0.95, Math.max(0.05, cosine)), direction()))
      return { content, metadata: { isRelevant } }
    })
    return { question, chunks }
  })
  return { vectors, subjects }
}

const gain = (place: number) => 1 / Math.log2(place + 2)
const best = Array.from({ length: 10 }, (_, place) => gain(place)).reduce((sum, one) => sum + one, 0)

it('both together put more of what belongs to a question first than meaning or words alone', async () => {
  const { vectors, subjects } = generate()
  world.node.vectorOf = (text) => vectors.get(text) ?? [Number.NaN]
  const team = await world.team()
  for (const [at, { chunks }] of subjects.entries()) {
    const { status } = await team.ask('POST', '/index', { source_id: `subject-${at}`, chunks })
    expect(status).toBe(200)
  }
  const ndcg: Record<string, number> = { semantic: 0, keyword: 0, hybrid: 0 }
  for (const { question, chunks } of subjects) {
    const relevant = new Set(chunks.filter(({ metadata }) => metadata.isRelevant).map(({ content }) => content))
    for (const mode of Object.keys(ndcg)) {
      const { body } = await team.ask('POST', '/search', { query: question, mode, threshold: 0, top_k: 10 })
      const gained = body.results.map(({ content }, place) => (relevant.has(content) ? gain(place) : 0))
      ndcg[mode] = (ndcg[mode] ?? 0) + gained.reduce((sum, one) => sum + one, 0) / best / subjects.length
    }
  }
  console.info(
    `nDCG@10 ${Object.entries(ndcg)
      .map(([mode, value]) => `${mode} ${value.toFixed(3)}`)
      .join(', ')}`,
  )
  expect(ndcg.hybrid).toBeGreaterThan((ndcg.semantic ?? 1) + 0.02)
  expect(ndcg.hybrid).toBeGreaterThan((ndcg.keyword ?? 1) + 0.02)
})
