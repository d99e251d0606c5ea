import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { count } from '../../support/lane.ts'
import { ask, type Message, signers, withResults } from './loop.ts'
import { startWorld, type World } from './world.ts'

const steps = count(12, 50)

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world?.close())

const user = (content: string): Message[] => [{ role: 'user', content }]

describe.each(signers)('a plain client of OpenAI with $name', (signer) => {
  const { model, asking, vendor, signed, isThinking, signsTexts } = signer

  it.each([
    ['whole', false],
    ['streamed', true],
  ])('runs a long loop of parallel tools over two isolates (%s), with nothing unsigned', async (_form, stream) => {
    const isolates = [await world.isolate(), await world.isolate()]
    const errors = vendor(world).signatureErrors()
    let messages = user(asking(steps))
    for (let step = 0; step < steps; step++) {
      const client = isolates[step % 2]?.client
      if (!client) throw new Error('no isolate')
      const message = await ask({ client, stream, model, messages })
      expect(message.tool_calls).toHaveLength(2)
      expect(signed(world)).toBe(step)
      messages = withResults(messages, message, step % 3 === 0)
    }
    const client = isolates[steps % 2]?.client
    if (!client) throw new Error('no isolate')
    const last = await ask({ client, stream, model, messages })
    expect(last.content).toMatch(/\w/)
    expect(signed(world)).toBe(steps)
    expect(isThinking(world)).toBe(true)
    expect(vendor(world).signatureErrors()).toBe(errors)
  })

  it('costs one request of Redis before the vendor and one after what was signed, and none of Postgres', async () => {
    const { client } = await world.isolate()
    await ask({ client, stream: false, model, messages: user('Hi') })
    let messages = user(asking(2))
    const requests: number[] = []
    for (let step = 0; step < 3; step++) {
      const before = world.redis.requests()
      const message = await ask({ client, stream: step % 2 === 0, model, messages })
      requests.push(world.redis.requests() - before)
      messages = withResults(messages, message)
    }
    expect(requests).toEqual([2, 2, signsTexts ? 2 : 1])
  })

  it('goes on in one isolate when Redis stops in the middle', async () => {
    const { client } = await world.isolate()
    world.redis.forget('org_1:signed:')
    let messages = user(asking(6))
    try {
      for (let step = 0; step < 6; step++) {
        if (step === 2) world.redis.away(true)
        const message = await ask({ client, stream: step % 2 === 0, model, messages })
        messages = withResults(messages, message)
        expect(signed(world)).toBe(step)
      }
    } finally {
      world.redis.away(false)
    }
    // What nobody could be told is not known elsewhere, and the vendor is content without.
    const other = await world.isolate()
    const errors = vendor(world).signatureErrors()
    const last = await ask({ client: other.client, stream: false, model, messages })
    expect(last.content).toMatch(/\w/)
    expect(signed(world)).toBe(2)
    expect(vendor(world).signatureErrors()).toBe(errors)
  })

  it('gives nothing of it to another organisation that shows the same calls', async () => {
    const { client } = await world.isolate()
    const other = await world.isolate({ policy: { orgId: 'org_2' } })
    const asked = user(asking(2))
    const messages = withResults(asked, await ask({ client, stream: false, model, messages: asked }))
    await ask({ client: other.client, stream: false, model, messages })
    expect(signed(world)).toBe(0)
    await ask({ client, stream: false, model, messages })
    expect(signed(world)).toBe(1)
  })
})
