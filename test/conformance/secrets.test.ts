import { beforeAll, describe, expect, it, vi } from 'vitest'
import { full } from '../support/lane.ts'
import { failureInStream, failuresOf } from './fixtures/errors.ts'
import { cutBy } from './fixtures/pieces.ts'
import { scribes } from './fixtures/scribes.ts'
import { breakIn, refusalIn } from './refusal.ts'
import { surfaces } from './surfaces/all.ts'
import { type Truth, wires } from './truth.ts'
import { hostOf, models, secrets, startWorld, typeOf, type World } from './world.ts'

/** Each test is hundreds of calls, and the machine may be busy. */
vi.setConfig({ testTimeout: 180_000 })

let world: World

beforeAll(async () => {
  world = await startWorld()
})

const pairs = surfaces.flatMap((surface, row) =>
  wires.map((wire, column) => ({ surface, wire, name: surface.name, turn: row + column })),
)

/** What no caller may read: of a vendor's account, and of the machine behind it. */
const plantedFor = (wire: (typeof wires)[number]): string[] => [
  secrets[wire],
  hostOf(wire),
  'sk-proj-Another0123456789abcdefghijklmnop',
  'sk-ant-api03-Another0123456789abcdef',
  'AIzaSyAnother0123456789abcdefABCDEF0123',
  'org-AbCdEf0123456789GhIjKl',
  'proj_AbCdEf0123456789GhIjKl',
  '9f8e7d6c-5b4a-4321-8765-0123456789ab',
  '127.0.0.1:39281',
  '10.1.2.3:11434',
  'gpu-7.nodes.internal',
  'localhost:8080',
]

const said: Truth = { name: 'begun', said: [{ kind: 'text', text: 'It began' }], end: 'stop', counts: undefined }

describe.each(pairs)('$name over $wire', ({ surface, wire, turn }) => {
  const planted = plantedFor(wire)
  const words = planted.map((secret) => `(${secret})`).join(' and ')
  const leaks = (text: string) => planted.filter((secret) => text.includes(secret))

  /** The account of another vendor is in the headers of no answer, either. */
  const plantedHeaders = Object.fromEntries(planted.map((secret, position) => [`x-planted-${position}`, secret]))

  // By default each failure is told either whole or streamed, and by the next wire and on the next surface the other way.
  const failures = failuresOf(wire, words).flatMap((failure, at) =>
    [false, true]
      .filter((isStream) => full() || isStream === ((at + turn) % 2 === 1))
      .map((isStream) => ({ ...failure, isStream })),
  )

  it.each(failures)('keeps to itself what $name tells (status $status, stream: $isStream)', async (failure) => {
    const { status, body, headers, isStream } = failure
    const model = models[wire]
    const response = await world.ask(
      surface,
      isStream ? surface.streamed(model) : surface.request(model),
      () =>
        new Response(body, { status, headers: { 'content-type': 'application/json', ...plantedHeaders, ...headers } }),
    )
    const text = await response.text()
    refusalIn(surface, { status: response.status, text })
    expect(leaks(text + JSON.stringify([...response.headers]))).toEqual([])
  })

  it.each([false, true])('keeps to itself what an error in a 200 tells (stream: %s)', async (isStream) => {
    const model = models[wire]
    for (const { body } of failuresOf(wire, words)) {
      const response = await world.ask(
        surface,
        isStream ? surface.streamed(model) : surface.request(model),
        () => new Response(body, { headers: { 'content-type': typeOf(wire, false) } }),
      )
      const text = await response.text()
      refusalIn(surface, { status: response.status, text })
      expect(leaks(text)).toEqual([])
    }
  })

  it('keeps to itself what an error in a stream tells', async () => {
    const whole = scribes[wire].stream(said, cutBy(4))
    // Its first event or line.
    const begun = whole.slice(0, whole.indexOf('began') + 'began'.length)
    const events = begun.slice(0, begun.lastIndexOf(wire === 'ollama' ? '\n' : '\n\n') + (wire === 'ollama' ? 1 : 2))
    for (const before of ['', events]) {
      const response = await world.ask(
        surface,
        surface.streamed(models[wire]),
        () => new Response(before + failureInStream(wire, words), { headers: { 'content-type': typeOf(wire, true) } }),
      )
      const text = await response.text()
      if (response.status === 200) breakIn(surface, text)
      else refusalIn(surface, { status: response.status, text })
      expect(leaks(text)).toEqual([])
    }
  })
})
