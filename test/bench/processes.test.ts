import { EventEmitter } from 'node:events'
import { describe, expect, it } from 'vitest'
import { endWithThis, messageOf } from '../../scripts/bench/processes.ts'

describe('a process of a benchmark', () => {
  it('is listened to for one message at a time, and leaves no listener behind', async () => {
    const child = new EventEmitter()
    for (const message of [1, 2, 3]) {
      const told = messageOf(child)
      child.emit('message', message)
      expect(await told).toBe(message)
    }
    expect([child.listenerCount('message'), child.listenerCount('exit')]).toEqual([0, 0])
  })

  it('that ends instead is an error', async () => {
    const child = new EventEmitter()
    const told = messageOf(child)
    child.emit('exit', 3)
    await expect(told).rejects.toThrow('ended with 3')
    expect([child.listenerCount('message'), child.listenerCount('error')]).toEqual([0, 0])
  })

  it('ends with the one that started it, by one listener for all of them', () => {
    const before = process.listenerCount('exit')
    for (let at = 0; at < 20; at += 1) endWithThis(Object.assign(new EventEmitter(), { kill: () => true }))
    expect(process.listenerCount('exit')).toBe(before)
  })
})
