import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ensembleStrategies } from '../../../src/core/ensemble.ts'
import { reliabilityOf, textOf, tokenProbabilityOf } from '../../../src/features/ensembles/answers.ts'
import { bestJudged } from '../../../src/features/ensembles/best-of-n.ts'
import { choose } from '../../../src/features/ensembles/choose.ts'
import { agreementOf } from '../../../src/features/ensembles/confidence.ts'
import { confidenceWeighted, factorOf } from '../../../src/features/ensembles/confidence-weighted.ts'
import { qualityWeighted } from '../../../src/features/ensembles/quality-weighted.ts'
import { count } from '../../support/lane.ts'
import { answered, settings } from './given.ts'

const nobody = { preferred: [], weights: {} }
const of = (chars: number) => 'x'.repeat(chars)

describe('the confidence of an answer', () => {
  it('is what its tokens were given, times the reliability of its model', () => {
    const { confidences } = agreementOf([
      answered('a', { tokenProbability: 0.9, reliability: 0.8 }),
      answered('b', { tokenProbability: 0.5, reliability: 1 }),
    ])
    expect(confidences[0]).toBeCloseTo(0.72)
    expect(confidences[1]).toBeCloseTo(0.5)
  })

  it('is its agreement with the others where its vendor tells nothing', () => {
    const { confidences, agreement } = agreementOf([answered('42'), answered('42.'), answered('Berlin')])
    expect(confidences).toEqual([0.25, 0.25, 0])
    expect(agreement).toBeCloseTo(1 / 3)
  })

  it('is not known of a single answer without probabilities', () => {
    expect(agreementOf([answered('42')])).toMatchObject({ confidences: [null], agreement: null })
  })

  it('is read from logprobs as the mean probability', () => {
    const logprobs = { content: [{ logprob: 0 }, { logprob: Math.log(0.5) }] }
    const choices = [{ index: 0, message: { role: 'assistant', content: 'Hi' }, finish_reason: 'stop', logprobs }]
    expect(tokenProbabilityOf({ choices })).toBeCloseTo(0.75)
    expect(tokenProbabilityOf({ choices: [] })).toBeUndefined()
    expect(textOf({ choices })).toBe('Hi')
  })

  it.each([
    [0, 0, 1 / 2],
    [1, 1, 2 / 3],
    [0, 1, 1 / 3],
    [98, 98, 99 / 100],
  ])('with %i wins of %i counts as %f', (wins, answers, expected) => {
    expect(reliabilityOf({ wins, answers })).toBeCloseTo(expected)
  })
})

describe('the factors beside it', () => {
  it.each([
    ['a short answer', { text: of(20) }, 1],
    ['a full one', { text: of(50) }, 1.1],
    ['a long one', { text: of(1000) }, 1.05],
    ['a very long one', { text: of(2000) }, 0.95],
    ['under a second', { latencyMs: 999 }, 1.1],
    ['under three', { latencyMs: 2999 }, 1.05],
    ['over ten', { latencyMs: 10_001 }, 0.9],
    ['dense text', { text: of(40), completionTokens: 10 }, 1.1],
    ['less dense text', { text: of(25), completionTokens: 10 }, 1.05],
    ['sparse text', { text: of(20), completionTokens: 10 }, 1],
    ['an answer that was cut', { finishReason: 'length' }, 0.95 / 1.1],
    ['an answer that was filtered', { finishReason: 'content_filter' }, 0.7 / 1.1],
    ['an answer that ended otherwise', { finishReason: null }, 1 / 1.1],
  ])('are those of %s', (_what, given, expected) => {
    expect(factorOf(answered('short', given), nobody)).toBeCloseTo(expected * 1.1)
  })

  it('prefer providers in the order in which they are preferred, times their weights', () => {
    const preferences = { preferred: ['openrouter', 'openai'], weights: { openrouter: 1.2 } }
    const at = (provider: string) => factorOf(answered('short', { provider }), preferences) / 1.1
    expect([at('openrouter'), at('openai'), at('qwen')].map((value) => Number(value.toFixed(6)))).toEqual([
      1.44, 1.1, 1,
    ])
  })

  it('decide between the equally confident, and all where nobody is confident', () => {
    const quick = answered('a', { latencyMs: 500 })
    expect(confidenceWeighted([answered('b'), quick], [0.5, 0.5], nobody)).toEqual([expect.closeTo(1 / 1.1), 1])
    expect(confidenceWeighted([answered('b'), quick], [0, 0], nobody)).toEqual([expect.closeTo(1 / 1.1), 1])
  })
})

describe('the weighted quality', () => {
  it('adds up what the formula says', () => {
    const answer = answered(of(100), { latencyMs: 2500, completionTokens: 50 })
    expect(qualityWeighted([answer], [0.6])[0]).toBeCloseTo(0.3 * 0.6 + 0.2 * 0.75 + 0.2 * 0.5 + 0.15 + 0.15)
    const worst = answered('', { latencyMs: 20_000, finishReason: 'content_filter' })
    expect(qualityWeighted([worst], [null])[0]).toBeCloseTo(0.15 * 0.5)
  })
})

describe('a majority', () => {
  it('is more than half of the members, and its most confident answer is given', () => {
    const answers = [
      answered('42', { tokenProbability: 0.6 }),
      answered('Berlin', { tokenProbability: 1 }),
      answered(' 42.', { tokenProbability: 0.7 }),
    ]
    expect(choose({ answers, settings, members: 3 })).toMatchObject({
      votingMethod: 'majority',
      winner: 2,
      agreeing: [0, 2],
      scores: [expect.closeTo(2 / 3), expect.closeTo(1 / 3), expect.closeTo(2 / 3)],
      fallback: undefined,
    })
  })

  it('takes a number for the same however it is set, and not for the same in words', () => {
    const answers = ['42', ' 42.', 'forty-two'].map((text, at) => answered(text, { tokenProbability: (at + 1) / 10 }))
    expect(choose({ answers, settings, members: 3 })).toMatchObject({
      votingMethod: 'majority',
      winner: 1,
      agreeing: [0, 1],
      fallback: undefined,
    })
    const tied = [...answers, answered('forty-two', { tokenProbability: 0.2 })]
    expect(choose({ answers: tied, settings, members: 4 })).toMatchObject({
      votingMethod: 'confidence_weighted',
      winner: 2,
      fallback: 'no_majority',
    })
  })

  it('of a tie is none: confidence decides, and the choice says so', () => {
    const answers = ['42', 'Berlin', '42', 'Berlin'].map((text, at) => answered(text, { tokenProbability: at / 10 }))
    expect(choose({ answers, settings, members: 4 })).toMatchObject({
      votingMethod: 'confidence_weighted',
      winner: 3,
      fallback: 'no_majority',
    })
  })

  it('counts members who have not answered', () => {
    const answers = [answered('42'), answered('42')]
    expect(choose({ answers, settings, members: 3 })?.votingMethod).toBe('majority')
    expect(choose({ answers, settings, members: 4 })?.votingMethod).toBe('confidence_weighted')
  })
})

describe('other choices', () => {
  it('of a cascade take the answer that is sure enough, else the surest', () => {
    const answers = [
      answered('a', { tokenProbability: 0.9, reliability: 0.9 }),
      answered('b', { tokenProbability: 0.4 }),
    ]
    const cascade = { ...settings, strategy: 'cascade' as const }
    expect(choose({ answers, settings: cascade, members: 2 })).toMatchObject({ votingMethod: 'cascade', winner: 0 })
    expect(choose({ answers, settings: { ...cascade, threshold: 0.9 }, members: 2 })).toMatchObject({
      votingMethod: 'confidence_weighted',
      fallback: 'not_sure',
    })
  })

  it('of judged answers take the best, or the cheaper of two that are close', () => {
    const answers = [answered('a', { costNanoUsd: 500 }), answered('b', { costNanoUsd: 100 }), answered('c')]
    expect(bestJudged(answers, [0.9, 0.8, 0.1])).toBe(0)
    expect(bestJudged(answers, [0.9, 0.86, 0.1])).toBe(1)
    const best = { ...settings, strategy: 'best_of_n' as const }
    expect(choose({ answers, settings: best, members: 3, judged: [0.1, 0.2, 0.9] })).toMatchObject({
      votingMethod: 'best_of_n',
      winner: 2,
    })
    expect(choose({ answers, settings: best, members: 3 })).toMatchObject({ fallback: 'not_judged' })
  })

  it('say so where there were too few answers to choose from', () => {
    expect(choose({ answers: [answered('a')], settings, members: 3 })).toMatchObject({ fallback: 'too_few_answers' })
    expect(choose({ answers: [], settings, members: 3 })).toBeUndefined()
  })

  it('always name an answer that was given, with scores from 0 to 1', () => {
    const answer = fc.record({
      text: fc.constantFrom('42', '42.', 'Berlin', of(60), of(1500), ''),
      latencyMs: fc.nat(30_000),
      completionTokens: fc.nat(500),
      finishReason: fc.constantFrom('stop', 'length', 'content_filter', null),
      tokenProbability: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined }),
      reliability: fc.double({ min: 0, max: 1, noNaN: true }),
    })
    fc.assert(
      fc.property(
        fc.array(answer, { minLength: 1, maxLength: 4 }),
        fc.constantFrom(...ensembleStrategies),
        fc.nat(3),
        (given, strategy, missing) => {
          const answers = given.map(({ text, ...rest }) => answered(text, rest))
          const judged = answers.map((_answer, at) => at / answers.length)
          const chosen = choose({
            answers,
            settings: { ...settings, strategy },
            members: answers.length + missing,
            judged,
          })
          expect(answers[chosen?.winner ?? -1]).toBeDefined()
          expect(chosen?.agreeing).toContain(chosen?.winner)
          expect(chosen?.scores).toHaveLength(answers.length)
          for (const score of chosen?.scores ?? []) expect(score >= 0 && score <= 1 + 1e-9).toBe(true)
        },
      ),
      { numRuns: count(300, 5000) },
    )
  })
})
