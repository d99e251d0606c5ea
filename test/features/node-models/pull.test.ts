import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isPullable, PULL_NAME } from '../../../src/features/node-models/patterns.ts'
import { createPullTally, shareOf } from '../../../src/features/node-models/pull-stream.ts'

describe('the names that may be pulled', () => {
  it.each([
    [null, 'anything:1b', true],
    [[], 'anything:1b', false],
    [['llama3.1'], 'llama3.1', true],
    [['llama3.1'], 'llama3.1:8b', true],
    [['llama3.1:8b'], 'llama3.1:70b', false],
    [['llama3*'], 'llama3.2:1b', true],
    [['llama3*'], 'evil/llama3', false],
    [['hf.co/us/*'], 'hf.co/us/model:q4', true],
    [['hf.co/us/*'], 'hf.co/them/model', false],
    [['*:1b'], 'qwen3:1b', true],
    [['*:1b'], 'qwen3:8b', false],
    [['a*a'], 'a', false],
    [['qwen*-coder*'], 'qwen2.5-coder:7b', true],
  ])('of %j: %s is %s', (allowed, name, is) => {
    expect(isPullable(allowed, name)).toBe(is)
  })

  it('are those of any text between the pieces of a pattern, in a time that stays short', () => {
    const piece = fc.stringMatching(/^[ab]{0,3}$/)
    fc.assert(
      fc.property(
        fc.array(piece, { minLength: 1, maxLength: 5 }),
        fc.stringMatching(/^[ab]{0,12}$/),
        (pieces, name) => {
          const expression = new RegExp(`^${pieces.join('.*')}$`)
          expect(isPullable([pieces.join('*')], name)).toBe(expression.test(name))
        },
      ),
    )
    expect(isPullable(['*a'.repeat(100)], `${'a'.repeat(199)}b`)).toBe(false)
  })

  it.each(['llama3', 'llama3.1:8b', 'hf.co/user/model:Q4_K_M', 'a_b-c'])('look like %s', (name) => {
    expect(PULL_NAME.test(name)).toBe(true)
  })
  it.each(['', 'Upper', 'a b', 'a:b:c', 'a?b', 'a:', 'a\n', '日本'])('do not look like %j', (name) => {
    expect(PULL_NAME.test(name)).toBe(false)
  })
})

describe('how far a pull is', () => {
  it('is the sum of its layers, and never less than before', () => {
    const tally = createPullTally()
    expect(tally.add({ status: 'pulling manifest' })).toMatchObject({ completed_bytes: 0, total_bytes: 0 })
    tally.add({ status: 'pulling a', digest: 'a', total: 100, completed: 60 })
    tally.add({ status: 'pulling b', digest: 'b', total: 50, completed: 10 })
    expect(tally.add({ status: 'pulling a', digest: 'a', total: 100, completed: 40 })).toEqual({
      completed_bytes: 70,
      total_bytes: 150,
      status: 'pulling a',
    })
  })

  it('goes on from where the attempt before has left off', () => {
    const tally = createPullTally({ completed_bytes: 80, total_bytes: 100, status: '' })
    expect(tally.add({ digest: 'a', total: 100, completed: 5 })).toMatchObject({ completed_bytes: 80 })
    expect(tally.add({ digest: 'a', total: 100, completed: 90 })).toMatchObject({ completed_bytes: 90 })
  })

  it('is whole only when the node says so', () => {
    expect(shareOf({ completed_bytes: 0, total_bytes: 0, status: '' })).toBe(0)
    expect(shareOf({ completed_bytes: 9, total_bytes: 9, status: '' })).toBe(0.99)
  })

  it('is no more than there is to be had, whatever a node tells, and of no more layers than a model has', () => {
    const tally = createPullTally()
    expect(tally.add({ digest: 'a', total: 100, completed: 1e300 })).toMatchObject({ completed_bytes: 100 })
    for (let at = 0; at < 999; at++) tally.add({ digest: `layer ${at}`, total: 1, completed: 1 })
    expect(tally.add({ digest: 'a', total: 100, completed: 100 })).toMatchObject({ total_bytes: 1099 })
    expect(() => tally.add({ digest: 'one more', total: 1 })).toThrow(
      expect.objectContaining({ code: 'provider_error' }),
    )
  })

  it('ends beyond 80 GB, and with what the node says went wrong', () => {
    const tally = createPullTally()
    tally.add({ digest: 'a', total: 79e9 })
    expect(() => tally.add({ digest: 'b', total: 2e9 })).toThrow(expect.objectContaining({ code: 'payload_too_large' }))
    expect(() => tally.add({ error: 'pull model manifest: file does not exist' })).toThrow(
      expect.objectContaining({ code: 'model_not_found' }),
    )
    expect(() => tally.add({ error: 'no space left on device' })).toThrow(
      expect.objectContaining({ code: 'provider_error' }),
    )
  })
})
