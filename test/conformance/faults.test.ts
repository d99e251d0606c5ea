import fc from 'fast-check'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import type { Wire } from '../../src/core/models.ts'
import { count } from '../support/lane.ts'
import { type BodyEnd, scriptedBody } from '../support/scripted-body.ts'
import { oddities } from './fixtures/oddities.ts'
import { cutBy } from './fixtures/pieces.ts'
import { scribes } from './fixtures/scribes.ts'
import { truths } from './fixtures/truths.ts'
import { breakIn, refusalIn } from './refusal.ts'
import { checkHeard, hearStream } from './replay.ts'
import { cutAt, dangerous, single } from './splits.ts'
import { surfaces } from './surfaces/all.ts'
import { type Truth, toldBy, wires } from './truth.ts'
import { models, startWorld, typeOf, type World } from './world.ts'

const seed = 20_261_121
/** Places at which each stream breaks off. */
const cuts = count(4, 400)

const encoder = new TextEncoder()
/** Each test is hundreds of calls, and the machine may be busy. */
vi.setConfig({ testTimeout: 180_000 })

let world: World

beforeAll(async () => {
  vi.spyOn(crypto, 'randomUUID').mockReturnValue('00000000-0000-4000-8000-000000000000')
  world = await startWorld()
  return () => vi.restoreAllMocks()
})

const pairs = surfaces.flatMap((surface) => wires.map((wire) => ({ surface, wire, name: surface.name })))

const parts = ['thoughts before text', 'characters of every width', 'parallel calls']

/** Thoughts, text and calls in one answer, of which a small sample is enough. */
function spokenIn(wire: Wire): Truth {
  const said = parts.flatMap((part) => truths.find(({ name }) => name === part)?.said ?? [])
  const counts = { prompt: 31, cached: 0, cacheWrite: 0, cacheWriteHour: 0, completion: 17, reasoning: 0 }
  const truth = toldBy(wire, { name: 'all of it', said, end: 'tool_calls', counts })
  if (!truth || said.length === 0) throw new Error('nothing is said')
  return truth
}

describe.each(pairs)('$name over $wire', (pair) => {
  const { surface, wire } = pair
  const truth = spokenIn(wire)

  const known = oddities.filter((oddity) => oddity.wires.includes(wire))

  it.each(known)('hears the same for all $name', async ({ change }) => {
    const bytes = encoder.encode(change(scribes[wire].stream(truth, cutBy(5, 2)), wire))
    checkHeard((await hearStream(world, pair, [bytes])).heard, truth, pair)
    checkHeard((await hearStream(world, pair, cutAt(bytes, dangerous(bytes)))).heard, truth, pair)
  })

  it('replaces what is no character, and reads on', async () => {
    const said: Truth = { name: 'x', said: [{ kind: 'text', text: 'a~b' }], end: 'stop', counts: undefined }
    const bytes = encoder.encode(scribes[wire].stream(said, cutBy(100)))
    const broken = bytes.map((byte) => (byte === 0x7e ? 0xff : byte))
    const heard = [await hearStream(world, pair, [broken]), await hearStream(world, pair, single(broken))]
    for (const each of heard) expect(each.heard.text).toBe('a\ufffdb')
  })

  it.each(['eof', 'reset'] as const)('breaks off in an error, wherever its vendor does (%s)', async (end: BodyEnd) => {
    const bytes = encoder.encode(scribes[wire].stream(truth, cutBy(5, 2)))
    for (const place of fc.sample(fc.nat(bytes.length - 1), { numRuns: cuts, seed })) {
      const response = await world.ask(surface, surface.streamed(models[wire]), () => {
        return scriptedBody([bytes.subarray(0, place)], { end, type: typeOf(wire, true) }).response
      })
      const text = await response.text()
      if (response.status !== 200) refusalIn(surface, { status: response.status, text })
      else if (isWhole(text)) checkHeard(surface.stream(text), { ...truth, counts: undefined }, pair)
      else breakIn(surface, text)
    }
  })

  /** A vendor that has told its reason has said all but its counts. */
  function isWhole(text: string): boolean {
    try {
      surface.stream(text)
      return true
    } catch {
      return false
    }
  }

  const document = JSON.stringify(scribes[wire].whole(truth))
  const stream = scribes[wire].stream(truth, cutBy(5))
  const otherWire = wire === 'ollama' ? 'openai' : 'ollama'
  const foreign = scribes[otherWire].stream({ name: 'x', said: [], end: 'stop', counts: undefined }, cutBy(5))
  const page = '<!DOCTYPE html><html><body>Please sign in</body></html>'

  it.each([
    ['a page', page, 'text/html'],
    ['a page that says it is a stream', page, typeOf(wire, true)],
    ['nothing', '', typeOf(wire, true)],
    ['null', 'null', 'application/json'],
    ['an empty list', '[]', 'application/json'],
    ['an empty object', '{}', 'application/json'],
    ['a text', '"Hello."', 'application/json'],
    ['half a document', document.slice(0, document.length / 2), 'application/json'],
    ['another wire', foreign, typeOf(otherWire, true)],
  ])('takes no answer from %s', async (_name, body, type) => {
    for (const body_ of [surface.request(models[wire]), surface.streamed(models[wire])]) {
      const response = await world.ask(surface, body_, () => new Response(body, { headers: { 'content-type': type } }))
      refusalIn(surface, { status: response.status, text: await response.text() })
    }
  })

  it('takes no stream for a document', async () => {
    const headers = { 'content-type': typeOf(wire, true) }
    const response = await world.ask(surface, surface.request(models[wire]), () => new Response(stream, { headers }))
    refusalIn(surface, { status: response.status, text: await response.text() })
  })

  it('takes no document for a stream, or reads in it what it says', async () => {
    const headers = { 'content-type': 'application/json' }
    const response = await world.ask(surface, surface.streamed(models[wire]), () => new Response(document, { headers }))
    const text = await response.text()
    // A node's last line has the form of its documents.
    if (response.status === 200 && wire === 'ollama') surface.stream(text)
    else refusalIn(surface, { status: response.status, text })
  })
})
