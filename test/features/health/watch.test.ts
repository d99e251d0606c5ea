import { describe, expect, it } from 'vitest'
import { type ListedModel, type Provider, UpstreamError } from '../../../src/core/models.ts'
import { statusOf } from '../../../src/features/health/state.ts'
import { createHealthWatch, type Kept } from '../../../src/features/health/watch.ts'
import { keptLog } from '../../support/fake-deps.ts'

const INTERVAL_MS = 30_000
const HOUR_MS = 3_600_000

type Answer = (signal: AbortSignal) => Promise<ListedModel[]>

const fine: Answer = async () => []
const refusal = (): Promise<never> => Promise.reject(new UpstreamError('connect', 'nobody is there'))
const failing =
  (status: number): Answer =>
  () =>
    Promise.reject(new UpstreamError('status', 'no', { status }))

/** The object between its storage and its alarm, on a clock that only the test moves. */
function watched(names: readonly string[]) {
  const state = {
    nowMs: 1_800_000_000_000,
    alarmMs: undefined as number | undefined,
    kept: undefined as Kept | undefined,
  }
  const asked: string[] = []
  const answers = new Map<string, Answer>()
  const { log, lines } = keptLog()
  const never = () => Promise.reject(new Error('only listed'))
  const providers = names.map(
    (name): Provider => ({
      name,
      kind: 'vendor',
      timeouts: { connectMs: 1, firstByteMs: 1, idleMs: 1, totalMs: 1 },
      chat: never,
      embed: never,
      listModels: (signal) => {
        asked.push(name)
        return (answers.get(name) ?? fine)(signal)
      },
    }),
  )
  const start = () =>
    createHealthWatch({
      providers,
      storage: {
        read: async () => state.kept,
        write: async (kept) => {
          state.kept = structuredClone(kept)
        },
      },
      alarm: {
        currentMs: () => state.alarmMs,
        set: (atMs) => {
          state.alarmMs = atMs
        },
      },
      intervalMs: INTERVAL_MS,
      log,
      now: () => state.nowMs,
    })
  let watch = start()
  return {
    state,
    asked,
    lines,
    read: () => watch.read(),
    answer: (name: string, answer: Answer) => void answers.set(name, answer),
    /** The object is made again over the same storage. */
    restart: () => {
      watch = start()
    },
    /** Lets the time pass; the alarm rings whenever its time has come. */
    async pass(ms: number): Promise<void> {
      const untilMs = state.nowMs + ms
      while (state.alarmMs !== undefined && state.alarmMs <= untilMs) {
        state.nowMs = Math.max(state.nowMs, state.alarmMs)
        state.alarmMs = undefined
        await watch.wake()
      }
      state.nowMs = untilMs
    },
    async status(name: string) {
      const all = await watch.read()
      return statusOf(all.find((one) => one.name === name)?.checks ?? [], state.nowMs)
    },
  }
}

describe('the watch over the providers', () => {
  it('looks at nobody before somebody asks, and then at once', async () => {
    const { asked, read, pass } = watched(['openai', 'mistral'])
    await pass(HOUR_MS)
    expect(asked).toEqual([])
    expect(await read()).toEqual([
      { name: 'openai', checks: [] },
      { name: 'mistral', checks: [] },
    ])
    expect(asked).toEqual([])
    await pass(0)
    expect(asked).toEqual(['openai', 'mistral'])
  })

  it('goes on for an hour after the last who asked, and then costs nothing', async () => {
    const { asked, read, pass, state } = watched(['openai'])
    await read()
    await pass(HOUR_MS)
    expect(asked).toHaveLength(120)
    await pass(HOUR_MS)
    expect(asked).toHaveLength(120)
    expect(state.alarmMs).toBeUndefined()
    await read()
    await pass(0)
    expect(asked).toHaveLength(121)
  })

  it('keeps the last ten checks', async () => {
    const { read, pass } = watched(['openai'])
    await read()
    await pass(20 * INTERVAL_MS)
    const [first] = await read()
    expect(first?.checks).toHaveLength(10)
    expect(first?.checks.every(({ isOk, reason }) => isOk && reason === null)).toBe(true)
  })

  it('knows within ninety seconds that a provider is gone, and that it is back', async () => {
    const { answer, status, pass, read, lines } = watched(['openai', 'mistral'])
    await read()
    await pass(5 * INTERVAL_MS)
    expect(await status('openai')).toBe('healthy')
    answer('openai', refusal)
    await pass(90_000)
    expect([await status('openai'), await status('mistral')]).toEqual(['unhealthy', 'healthy'])
    expect(lines).toContainEqual(
      expect.objectContaining({
        level: 'warn',
        event: 'provider_unhealthy',
        facts: expect.objectContaining({ reason: 'connect' }),
      }),
    )
    answer('openai', fine)
    await pass(3 * INTERVAL_MS)
    expect(await status('openai')).toBe('healthy')
  })

  it.each([
    [500, 'status_500'],
    [503, 'status_503'],
    [401, 'status_401'],
    [404, null],
    [405, null],
    [429, null],
  ])('takes a %d for %s', async (code, reason) => {
    const { answer, read, pass } = watched(['openai'])
    answer('openai', failing(code))
    await read()
    await pass(0)
    const [first] = await read()
    expect(first?.checks).toMatchObject([{ isOk: reason === null, reason }])
  })

  it('remembers what it found, and that somebody asked, when it is made again', async () => {
    const { read, pass, restart, asked, state } = watched(['openai'])
    await read()
    await pass(INTERVAL_MS)
    restart()
    const [first] = await read()
    expect(first?.checks).toHaveLength(2)
    restart()
    await pass(INTERVAL_MS)
    expect(asked).toHaveLength(3)
    expect(state.alarmMs).toBeGreaterThan(state.nowMs)
  })

  it('goes on when a check fails in a way that nobody thought of', async () => {
    const { answer, read, pass, asked } = watched(['openai', 'mistral'])
    answer('openai', () => {
      throw new TypeError('a bug')
    })
    await read()
    await pass(2 * INTERVAL_MS)
    expect(asked).toHaveLength(6)
    expect((await read())[0]?.checks[0]).toMatchObject({ isOk: false, reason: 'internal' })
  })

  it('asks no more than six at once', async () => {
    const names = Array.from({ length: 15 }, (_, at) => `vendor-${at}`)
    const { answer, read, pass, asked } = watched(names)
    let [open, most] = [0, 0]
    for (const name of names) {
      answer(name, async () => {
        open += 1
        most = Math.max(most, open)
        await new Promise((resolve) => setImmediate(resolve))
        open -= 1
        return []
      })
    }
    await read()
    await pass(0)
    expect([asked.length, most]).toEqual([15, 6])
  })
})
