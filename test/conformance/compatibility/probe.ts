import type { Wire } from '../../../src/core/models.ts'
import { scribes } from '../fixtures/scribes.ts'
import { truths } from '../fixtures/truths.ts'
import type { Heard, Surface } from '../surfaces/surface.ts'
import { type Truth, toldBy } from '../truth.ts'
import { models, type World } from '../world.ts'
import type { Words } from './words.ts'

/**
 * What becomes of something that is asked: `sent` in the vendor's words, `reported` as lost (or partly lost) in
 * `x-helix-ignored-params`, `refused` with a 400, or `dropped` without a word, which only what changes nothing may be.
 */
export type Outcome = 'sent' | 'in part' | 'reported' | 'refused' | 'dropped'

export type Probed = { outcome: Outcome; ignored: readonly string[] }

const base: Readonly<Record<Surface['name'], object>> = {
  chat: { messages: [{ role: 'user', content: 'Hi' }] },
  text: { prompt: 'Hi' },
  messages: { max_tokens: 100, messages: [{ role: 'user', content: 'Hi' }] },
  responses: { input: 'Hi', store: false },
}

const plainAnswer: Truth = { name: 'plain', said: [{ kind: 'text', text: 'Hello.' }], end: 'stop', counts: undefined }
const PNG = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)

type Pair = { surface: Surface; wire: Wire }
type Sent = { status: number; ignored: readonly string[]; body: string | undefined }

/** One request and what left for the vendor. */
async function send(world: World, { surface, wire }: Pair, fields: object): Promise<Sent> {
  world.sent.length = 0
  const body = { model: models[wire], ...base[surface.name], ...fields }
  const response = await world.ask(surface, body, ({ purpose }) =>
    purpose === 'public'
      ? new Response(PNG, { headers: { 'content-type': 'image/png' } })
      : Response.json(scribes[wire].whole(plainAnswer)),
  )
  await response.text()
  const ignored = response.headers.get('x-helix-ignored-params')?.split(',') ?? []
  const last = world.sent.findLast(({ purpose }) => purpose !== 'public')
  return { status: response.status, ignored, body: last && (await new Response(last.body ?? null).text()) }
}

/** Asks with and without it, and compares what a vendor got. Throws when the plain request is refused. */
export async function probe(world: World, pair: Pair, { asked, plain = {} }: Words): Promise<Probed> {
  const without = await send(world, pair, plain)
  if (without.status !== 200) throw new Error(`${pair.surface.name} over ${pair.wire}: the plain request was refused`)
  const given = await send(world, pair, asked)
  const ignored = given.ignored.filter((field) => !without.ignored.includes(field))
  if (given.status !== 200) return { outcome: 'refused', ignored }
  const differs = given.body !== without.body
  if (ignored.length > 0) return { outcome: differs ? 'in part' : 'reported', ignored }
  return { outcome: differs ? 'sent' : 'dropped', ignored }
}

/** Whether the same is refused of a caller who wants all or nothing. */
export async function isRefusedStrictly(world: World, pair: Pair, { asked }: Words): Promise<boolean> {
  return (await send(world, pair, { ...asked, helix: { strict: true } })).status === 400
}

/** Something that an answer may hold. */
export type Part = { name: string; truth: string; isHeard: (heard: Heard, truth: Truth) => boolean }

const hears = (name: string, truth: string, isHeard: Part['isHeard']): Part => ({ name, truth, isHeard })
const countAt = (position: number) => (heard: Heard) => (heard.counts?.[position] ?? 0) > 0

/** What an answer may hold, each with a fixture that has it. */
export const parts: readonly Part[] = [
  hears('text', 'plain text', ({ text }) => text !== ''),
  hears('calls of tools', 'parallel calls', ({ calls }) => calls.length === 3),
  hears('thoughts', 'thoughts before text', ({ thoughts }) => thoughts !== ''),
  hears('what proves thoughts', 'signed thoughts before calls', ({ signatures }) => signatures.length > 0),
  hears('thoughts that are not shown', 'thoughts that are not shown', ({ signatures }) => signatures.length === 2),
  hears('words of a refusal', 'a refusal', ({ refusal, text }) => refusal + text !== ''),
  hears('sources', 'a text with its source', ({ sources }) => sources.length > 0),
  hears('images', 'an image', ({ images }) => images > 0),
  hears('the end by length', 'cut by its length', ({ end }) => /length|max/.test(end)),
  hears('the end by a filter', 'held back by a filter', ({ end }) => /filter|refusal/.test(end)),
  hears('counts of what was cached', 'counts of a cache', countAt(1)),
  hears('counts of what was written to a cache', 'counts of a cache', countAt(2)),
  hears('counts of thoughts', 'thoughts before text', countAt(4)),
]

/** Whether a client gets it; undefined where no vendor of the wire says such a thing. */
export async function probeAnswer(world: World, { surface, wire }: Pair, part: Part): Promise<boolean | undefined> {
  const given = truths.find(({ name }) => name === part.truth)
  if (!given) throw new Error(`no fixture is called ${part.truth}`)
  const truth = toldBy(wire, given)
  if (!truth || !canTell(truth, given, part)) return undefined
  const answer = scribes[wire].whole(truth)
  const response = await world.ask(surface, surface.request(models[wire]), () => Response.json(answer))
  return part.isHeard(surface.whole(await response.json()), truth)
}

/** A wire that has words for a truth may still lack what a part of it is about. */
function canTell(truth: Truth, given: Truth, { name }: Part): boolean {
  const isSigned = JSON.stringify(truth.said).includes('"signature"')
  if (name === 'what proves thoughts') return isSigned
  if (name === 'sources') return JSON.stringify(truth.said).includes('"source"')
  if (name === 'counts of what was cached') return truth.counts?.cached === given.counts?.cached
  if (name === 'counts of what was written to a cache') return truth.counts?.cacheWrite === given.counts?.cacheWrite
  return name === 'counts of thoughts' ? truth.counts?.reasoning === given.counts?.reasoning : true
}
