import { expect } from 'vitest'
import type { Wire } from '../../src/core/models.ts'
import { scriptedBody } from '../support/scripted-body.ts'
import type { Cut } from './fixtures/pieces.ts'
import { scribes } from './fixtures/scribes.ts'
import type { Heard, Surface } from './surfaces/surface.ts'
import type { Truth } from './truth.ts'
import { models, typeOf, type World } from './world.ts'

const encoder = new TextEncoder()

export type Pair = { surface: Surface; wire: Wire }

/** What a vendor streams of a truth. */
export const streamed = (wire: Wire, truth: Truth, cut: Cut): Uint8Array =>
  encoder.encode(scribes[wire].stream(truth, cut))

/** What a client hears of these bytes, however many pieces they arrive in. */
export async function hearStream(
  world: World,
  { surface, wire }: Pair,
  pieces: Iterable<Uint8Array>,
): Promise<{ heard: Heard; text: string }> {
  const response = await world.ask(surface, surface.streamed(models[wire]), ({ signal }) => {
    const type = typeOf(wire, true)
    return scriptedBody(pieces, signal ? { type, signal } : { type }).response
  })
  const text = await response.text()
  if (response.status !== 200) throw new Error(`refused: ${response.status} ${text}`)
  return { heard: surface.stream(text), text }
}

/** What a client hears of an answer in one piece. */
export async function hearWhole(world: World, { surface, wire }: Pair, truth: Truth): Promise<Heard> {
  const answer = JSON.stringify(scribes[wire].whole(truth))
  const headers = { 'content-type': typeOf(wire, false) }
  const response = await world.ask(surface, surface.request(models[wire]), () => new Response(answer, { headers }))
  const text = await response.text()
  if (response.status !== 200) throw new Error(`refused: ${response.status} ${text}`)
  return surface.whole(JSON.parse(text))
}

/** Throws where a client has heard anything else than what was said. */
export function checkHeard({ counts, ...heard }: Heard, truth: Truth, { surface, wire }: Pair): void {
  expect(heard).toEqual(surface.expected(truth, wire))
  if (truth.counts === undefined) return
  const { prompt, cached, cacheWrite, completion, reasoning } = truth.counts
  expect(counts).toEqual([prompt, cached, cacheWrite, completion, reasoning])
}
