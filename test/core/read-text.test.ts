import { describe, expect, it } from 'vitest'
import { readText } from '../../src/core/read-text.ts'

const encoder = new TextEncoder()

/** The pieces as they come, and whether somebody ended them. */
function piecesOf(...pieces: readonly string[]) {
  const state = { isCancelled: false }
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        for (const piece of pieces) controller.enqueue(encoder.encode(piece))
      },
      cancel: () => {
        state.isCancelled = true
      },
    },
    { highWaterMark: 0 },
  )
  return { body, state }
}

describe('the text of an answer', () => {
  it('is all of it where it is no longer', async () => {
    expect(await readText(new Response('out of memory'), 13)).toEqual({ text: 'out of memory', isCut: false })
    expect(await readText(new Response(null), 13)).toEqual({ text: '', isCut: false })
  })

  it.each([[['CUDA out of memory']], [['CUDA ', 'out of', ' memory']]])(
    'is what stands in front, and its end is not waited for: %j',
    async (pieces) => {
      const { body, state } = piecesOf(...pieces)
      expect(await readText({ body }, 11)).toEqual({ text: 'CUDA out of', isCut: true })
      expect(state.isCancelled).toBe(true)
    },
  )
})
