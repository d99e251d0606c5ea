import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Due, isDue, readCrons, ringAt, startClock } from '../../../scripts/dev/clock.ts'

const at = (time: string): number => Date.parse(`2026-03-01T${time}Z`)

describe('a cron', () => {
  it.each([
    ['30 * * * *', '00:30:00', true],
    ['30 * * * *', '23:30:59', true],
    ['30 * * * *', '00:31:00', false],
    ['*/5 * * * *', '07:35:00', true],
    ['*/5 * * * *', '07:00:00', true],
    ['*/5 * * * *', '07:36:00', false],
    ['0 7 1 3 0', '07:00:00', true],
    ['0 7 2 3 0', '07:00:00', false],
    ['0 7 1 4 0', '07:00:00', false],
    ['0 7 1 3 1', '07:00:00', false],
    ['* * */2 */2 *', '07:00:00', true],
  ])('%s at %s is due: %s', (cron, time, due) => {
    expect(isDue(cron, at(time))).toBe(due)
  })

  it.each(['', '* * * *', '*/0 * * * *', '1-5 * * * *', '@hourly', '* * * * * *'])('%j is not understood', (cron) => {
    expect(() => isDue(cron, 0)).toThrow('is not understood')
  })

  it('of the jobs Worker is understood, each of them', async () => {
    const crons = await readCrons()
    expect(crons.length).toBeGreaterThan(1)
    const hour = Array.from({ length: 60 }, (_, minute) => at('00:00:00') + minute * 60_000)
    for (const cron of crons) expect(hour.some((minute) => isDue(cron, minute))).toBe(true)
  })
})

describe('the clock', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'], now: at('10:27:40') })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  it('rings when a cron is due, for that minute, until it is ended', async () => {
    const rung: Due[] = []
    const crons = ['30 * * * *', '*/5 * * * *']
    const end = startClock({ crons, ring: async (due) => void rung.push(due), log: () => {} })
    await vi.advanceTimersByTimeAsync(10 * 60_000)
    expect(rung).toEqual([
      { cron: '30 * * * *', dueMs: at('10:30:00') },
      { cron: '*/5 * * * *', dueMs: at('10:30:00') },
      { cron: '*/5 * * * *', dueMs: at('10:35:00') },
    ])
    await end()
    await vi.advanceTimersByTimeAsync(60 * 60_000)
    expect(rung).toHaveLength(3)
  })

  it('goes on when something goes wrong, and says so', async () => {
    const log: string[] = []
    const ring = () => Promise.reject(new Error('exception'))
    const end = startClock({ crons: ['*/5 * * * *'], ring, log: (line) => log.push(line) })
    await vi.advanceTimersByTimeAsync(10 * 60_000)
    const line = 'What is done by the clock (*/5 * * * *) did not go well: Error: exception'
    expect(log).toEqual([line, line])
    await end()
  })

  it('waits for nothing once it is ended, and has no more to say', async () => {
    const log: string[] = []
    const ring = (_due: Due, signal?: AbortSignal) =>
      new Promise<void>((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
    const end = startClock({ crons: ['* * * * *'], ring, log: (line) => log.push(line) })
    await vi.advanceTimersByTimeAsync(60_000)
    await end()
    expect(log).toEqual([])
  })
})

describe('the Workers', () => {
  it('are told what is due and for when, and what they say is passed on', async () => {
    const asked: (string | undefined)[] = []
    const server = createServer((request, response) => {
      asked.push(request.url)
      response.writeHead(asked.length === 1 ? 200 : 500).end(asked.length === 1 ? 'ok' : 'exception')
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const due = { cron: '*/5 * * * *', dueMs: 1_800_000_000_000 }
    await ringAt(origin)(due)
    expect(asked).toEqual(['/cdn-cgi/local/scheduled?cron=*%2F5+*+*+*+*&time=1800000000000'])
    await expect(ringAt(origin)(due)).rejects.toThrow('exception')
    server.close()
  })
})
