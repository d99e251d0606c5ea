import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createWaitingRoom } from '../../src/core/waiting-room.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** A room before so many places. */
function roomOf() {
  const places = { free: 0 }
  const room = createWaitingRoom<string, { seated: string }>({
    now: Date.now,
    trySeat: (item) => {
      if (places.free === 0) return undefined
      if (item === 'broken') throw new TypeError('cannot be seated')
      places.free -= 1
      return { seated: item }
    },
  })
  const enter = (id: string, waitMs = 30_000) =>
    room.enter({ id, line: '', priority: 'normal', untilMs: Date.now() + waitMs, item: id })
  const free = (count: number) => {
    places.free += count
    room.serve()
  }
  return { room, enter, free, places }
}

describe('those who wait', () => {
  it('are told when there is a place for them, one after the other', async () => {
    const { room, enter, free } = roomOf()
    const [one, two] = [enter('one'), enter('two')]
    free(1)
    expect(await one).toEqual({ seated: 'one' })
    expect(room.size()).toBe(1)
    free(1)
    expect(await two).toEqual({ seated: 'two' })
    expect(vi.getTimerCount()).toBe(0)
  })

  it('are turned away when their time is over, each at their own', async () => {
    const { enter, free, places } = roomOf()
    const told: string[] = []
    for (const [id, waitMs] of [
      ['late', 3000],
      ['early', 1000],
      ['never', 9000],
    ] as const) {
      void enter(id, waitMs).then((answer) => told.push('turnedAway' in answer ? `${id} away` : id))
    }
    await vi.advanceTimersByTimeAsync(999)
    expect(told).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    expect(told).toEqual(['early away'])
    await vi.advanceTimersByTimeAsync(5000)
    free(2)
    await vi.advanceTimersByTimeAsync(0)
    expect(told).toEqual(['early away', 'late away', 'never'])
    expect(places.free).toBe(1)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('are told at once where nobody could serve them', async () => {
    const { enter } = roomOf()
    for (let at = 0; at < 75; at++) void enter(`${at}`)
    expect(await enter('one more')).toEqual({ turnedAway: true, retryAfterMs: 1000 })
  })

  it('take no place once they are withdrawn, nor when they cannot be seated', async () => {
    const { room, enter, free, places } = roomOf()
    const [gone, broken, last] = [enter('gone'), enter('broken'), enter('last')]
    const rejected = expect(gone).rejects.toThrow('withdrawn')
    room.withdraw('gone')
    room.withdraw('nobody')
    await rejected
    const failed = expect(broken).rejects.toThrow('cannot be seated')
    free(1)
    await failed
    expect(await last).toEqual({ seated: 'last' })
    expect([room.size(), places.free]).toEqual([0, 0])
  })
})
