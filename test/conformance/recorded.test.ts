import { beforeAll, describe, expect, it, vi } from 'vitest'
import { recordedStreams } from '../support/streams.ts'
import { hearStream } from './replay.ts'
import { cutAt, dangerous } from './splits.ts'
import { surfaces } from './surfaces/all.ts'
import { startWorld, type World } from './world.ts'

/** Each test is hundreds of calls, and the machine may be busy. */
vi.setConfig({ testTimeout: 180_000 })

let world: World

beforeAll(async () => {
  world = await startWorld()
})

/** Streams of every vendor's habits that are told as one choice, in a wire as its first vendor speaks it. */
const streams = recordedStreams().filter(
  ({ name, finish }) => Object.keys(finish).length === 1 && !/reasoning|refusal/.test(name),
)

describe.each(surfaces)('$name', (surface) => {
  it.each(streams)('hears $name', async ({ kind, bytes, text, toolCalls, usage }) => {
    for (const pieces of [[bytes], cutAt(bytes, dangerous(bytes))]) {
      const { heard } = await hearStream(world, { surface, wire: kind }, pieces)
      expect(heard.text).toBe(text)
      const calls = surface.name === 'text' ? [] : toolCalls.map(([name, json]) => [name, JSON.parse(json || '{}')])
      expect(heard.calls.map(({ name, json }) => [name, JSON.parse(json)])).toEqual(calls)
      if (usage) expect([heard.counts?.[0], heard.counts?.[1], heard.counts?.[3]]).toEqual(usage.slice(0, 3))
    }
  })
})
