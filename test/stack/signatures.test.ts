import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { ask, type Message, type Signer, signers, withResults } from '../features/signatures/loop.ts'
import { type FakeAnthropic, startFakeAnthropic } from '../support/fake-vendor/anthropic.ts'
import { type FakeGemini, startFakeGemini } from '../support/fake-vendor/gemini.ts'
import { count } from '../support/lane.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { type Kit, kits } from './sdk-kits.ts'

const steps = count(5, 50)

let vendors: { claude: FakeAnthropic; gemini: FakeGemini }
let stacks: Stack[]

beforeAll(async () => {
  const [claude, gemini] = await Promise.all([startFakeAnthropic(), startFakeGemini()])
  vendors = { claude, gemini }
  const vars = {
    ANTHROPIC_API_KEY: 'sk-ant-fake-1',
    ANTHROPIC_BASE_URL: claude.url,
    GEMINI_API_KEY: 'AIza-fake-1',
    GEMINI_BASE_URL: gemini.url,
  }
  stacks = await Promise.all([startStack({ vars }), startStack({ vars })])
})
afterEach(() => {
  for (const { redis, postgres } of stacks) for (const store of [redis, postgres]) store.mode('pass')
})
afterAll(async () => {
  await Promise.all((stacks ?? []).map((stack) => stack.close()))
  await Promise.all([vendors?.claude.close(), vendors?.gemini.close()])
})

const org = async () => {
  const seeded = await stacks[0]?.org({ requestsPerMinute: 100_000, burst: 10_000, budgetUsd: 1000 })
  if (!seeded) throw new Error('no organisation')
  return seeded
}

type Run = {
  signer: Signer
  length: number
  stream: boolean
  kit: Kit
  clientAt: (step: number) => Parameters<typeof ask>[0]['client']
}

/** A loop to its answer; every request has to bring all that was signed before it. */
async function run({ kit, signer, length, stream, clientAt }: Run): Promise<void> {
  const errors = signer.vendor(vendors).signatureErrors()
  let messages: Message[] = [{ role: 'user', content: signer.asking(length) }]
  for (let step = 0; step <= length; step++) {
    const message = await ask({ client: clientAt(step), kit, stream, model: signer.model, messages })
    expect(signer.signed(vendors)).toBe(step)
    expect(message.tool_calls?.length ?? 0).toBe(step < length ? 2 : 0)
    messages = withResults(messages, message)
  }
  expect(signer.isThinking(vendors)).toBe(true)
  expect(signer.vendor(vendors).signatureErrors()).toBe(errors)
}

describe.each(kits)('the official client: $name', (kit) => {
  describe.each(signers)('over $name', (signer) => {
    it.each([
      ['whole', false],
      ['streamed', true],
    ])(
      'runs a long loop of parallel tools over two installations of the gateway (%s)',
      { retry: 3 },
      async (_form, stream) => {
        // A store that is slow for once is done without, by design: that is what is tried again.
        const { apiKey } = await org()
        const clients = stacks.map(({ url }) => kit.connect({ apiKey, baseURL: `${url}/v1` }))
        const clientAt = (step: number) => clients[step % clients.length] ?? kit.connect({ apiKey, baseURL: '' })
        await run({ kit, signer, length: steps, stream, clientAt })
      },
    )
  })
})

describe.each(signers)('$name', (signer) => {
  it('goes on in one isolate when Redis stops in the middle', async () => {
    const [stack] = stacks
    const [kit] = kits
    if (!stack || !kit) throw new Error('nothing was started')
    const { apiKey } = await org()
    const client = kit.connect({ apiKey, baseURL: `${stack.url}/v1` })
    const clientAt = (step: number) => {
      if (step === 2) stack.redis.mode('refuse')
      return client
    }
    await run({ kit, signer, length: 4, stream: true, clientAt })
  })

  it('keeps nothing that can be read where it is kept', async () => {
    const [stack] = stacks
    const [kit] = kits
    if (!stack || !kit) throw new Error('nothing was started')
    const { apiKey, orgId } = await org()
    const client = kit.connect({ apiKey, baseURL: `${stack.url}/v1` })
    await run({ kit, signer, length: 1, stream: false, clientAt: () => client })
    const kept = await keptIn(stack, orgId)
    expect(kept.length).toBeGreaterThan(0)
    for (const value of kept) expect(value).toMatch(/^v1\.\d+\.[\w-]{16}\.[\w-]+$/)
  })
})

/** What Redis keeps of an organisation's signatures. */
async function keptIn({ vars }: Stack, orgId: string): Promise<string[]> {
  const command = async (...words: string[]): Promise<unknown> => {
    const response = await fetch(vars.UPSTASH_REDIS_REST_URL ?? '', {
      method: 'POST',
      headers: { authorization: `Bearer ${vars.UPSTASH_REDIS_REST_TOKEN}` },
      body: JSON.stringify(words),
    })
    return ((await response.json()) as { result: unknown }).result
  }
  const keys = (await command('KEYS', `${orgId}:signed:*`)) as string[]
  return Promise.all(keys.map(async (key) => String(await command('GET', key))))
}
