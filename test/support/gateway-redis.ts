import { DependencyError } from '../../src/core/errors.ts'
import type { Redis, RedisCommand } from '../../src/core/redis.ts'
import { noteScript } from '../../src/features/admission/note-script.ts'
import { admissionScript } from '../../src/features/admission/script.ts'
import { keepScript } from '../../src/features/cache/scripts.ts'
import { rememberScript } from '../../src/features/records/service.ts'
import { argument, type Hash, readerOf, refuse } from './gateway-script.ts'
import { targetScripts } from './gateway-targets.ts'

type Entry = { value: string | Hash; expiresMs: number }

export type MemoryRedis = Redis & {
  /** Round trips so far. */
  requests(): number
  /** While true every request fails as an absent Redis does. */
  away(isAway: boolean): void
  /** Deletes every key that begins so. */
  forget(prefix: string): void
  text(key: string): string | undefined
  fields(key: string): ReadonlyMap<string, string>
}

/**
 * Redis as far as the gateway uses it: the commands of the port and the scripts of admission and of records, all on one map. Refuses
 * what Redis refuses: other scripts, a value of the wrong type, numbers that are none, empty lists of fields.
 */
export function memoryRedis(now: () => number): MemoryRedis {
  const entries = new Map<string, Entry>()
  let requests = 0
  let isAway = false

  const live = (key: string): Entry | undefined => {
    const entry = entries.get(key)
    if (entry && entry.expiresMs <= now()) entries.delete(key)
    return entries.get(key)
  }
  const textAt = (key: string): string | undefined => {
    const value = live(key)?.value
    return typeof value === 'object' ? refuse('WRONGTYPE') : value
  }
  const hashAt = (key: string): Hash | undefined => {
    const value = live(key)?.value
    return typeof value === 'string' ? refuse('WRONGTYPE') : value
  }
  const hashFor = (key: string): Hash => {
    const hash = hashAt(key) ?? new Map()
    if (!live(key)) entries.set(key, { value: hash, expiresMs: Number.POSITIVE_INFINITY })
    return hash
  }
  const setText = (key: string, value: string, expiresMs: number) => entries.set(key, { value, expiresMs })
  const expire = (key: string, seconds: number): number => {
    const entry = live(key)
    if (entry) entry.expiresMs = now() + whole(seconds) * 1000
    return entry ? 1 : 0
  }
  const increase = (key: string, amount: number): number => {
    const sum = Number(textAt(key) ?? 0) + whole(amount)
    setText(key, String(sum), live(key)?.expiresMs ?? Number.POSITIVE_INFINITY)
    return sum
  }

  function command(given: RedisCommand): unknown {
    const [name, key] = given
    if (key === '') refuse('empty key')
    switch (name) {
      case 'GET':
        return textAt(key) ?? null
      case 'HVALS':
        return [...(hashAt(key)?.values() ?? [])]
      case 'HGETALL':
        return hashAt(key)?.size ? Object.fromEntries(hashFor(key)) : null
      case 'HLEN':
        return hashAt(key)?.size ?? 0
      case 'EXPIRE':
        return expire(key, given[2])
      case 'INCRBY':
        return increase(key, given[2])
      case 'HINCRBY': {
        const hash = hashFor(key)
        const sum = Number(hash.get(given[2]) ?? 0) + whole(given[3])
        hash.set(given[2], String(sum))
        return sum
      }
      case 'HSET': {
        const fields = Object.entries(given[2])
        if (fields.length === 0) refuse("wrong number of arguments for 'hset'")
        for (const [field, value] of fields) hashFor(key).set(field, value)
        return fields.length
      }
      case 'HDEL':
        if (given[2].length === 0) refuse("wrong number of arguments for 'hdel'")
        return given[2].filter((field) => hashAt(key)?.delete(field)).length
      case 'SETPX':
        setText(key, given[2], now() + positive(given[3]))
        return 'OK'
    }
  }

  const { stateOf, answerWants, note } = targetScripts({ hashAt, hashFor, increase, expire })

  /** The admission script, line by line in another language. */
  function admit(keys: readonly string[], args: readonly string[]): unknown[] {
    const read = readerOf(keys, args)
    const [name, held] = [read.key(), read.arg()]
    const isRead = held !== '*'
    const record = isRead ? hashAt(name) : undefined
    const [version, at] = [record?.get('v'), record?.get('at') ?? '']
    if (isRead && version === undefined) return [0]
    if (isRead && version !== held) return [1, version, record?.get('p') ?? null, at]
    const [nowMs, own, shared] = [read.number(), read.number(), read.number()]
    const [targets, wants] = [read.number(), read.arg()]
    if (isRead && nowMs >= Number(record?.get('due') ?? 0)) {
      record?.set('due', String(nowMs + 5000))
      return [4, at]
    }
    const [openId, openCall] = [read.arg(), read.arg()]
    const reply: unknown[] = [3, at]
    const told: Told[] = []
    let refusal: number[] | undefined
    let monitors = false
    for (let limit = 1; limit <= own + shared; limit++) {
      const kind = read.arg()
      const [amount, size, windowMs, intoMs] = [read.number(), read.number(), read.number(), read.number()]
      const asked = { amount, size, windowMs, intoMs, nowMs }
      const monitored = read.arg()
      monitors ||= monitored !== ''
      const key = read.key()
      const taken =
        kind === 'b' ? takeBucket(key, asked) : takeWindow(key, kind === 's' ? read.key() : undefined, asked)
      const isShadow = taken.waitMs > 0 && monitored !== ''
      const waitMs = isShadow ? 0 : taken.waitMs
      const [remaining, resetMs] = [isShadow ? -1 : taken.remaining, Math.ceil(taken.resetMs)]
      if (limit <= own && waitMs > (refusal?.[2] ?? 0)) refusal = [2, limit, Math.ceil(waitMs), remaining, resetMs]
      if (limit <= own) reply.push(remaining, resetMs)
      told.push({ ...taken, no: limit, waitMs, remaining, resetMs, shadow: isShadow ? monitored : undefined })
    }
    if (refusal) return refusal
    const onTargets = Array.from({ length: shared > 0 ? targets : 0 }, () =>
      (read.arg().match(/\d+/g) ?? []).map((no) => told[own + Number(no) - 1] ?? refuse('there is no such limit')),
    )
    const shadow = monitors ? read.key() : ''
    const states = Array.from({ length: targets }, () => stateOf(read.key(), nowMs))
    const inTheWay = onTargets.map((mine) => mine.toSorted((one, other) => other.waitMs - one.waitMs)[0])
    const usable = states.flatMap(({ word, slot }, at) => (word === null || slot !== undefined ? [at] : []))
    const first = usable.find((at) => (inTheWay[at]?.waitMs ?? 0) === 0)
    const [soonest] = usable.flatMap((at) => inTheWay[at] ?? []).sort((one, other) => one.waitMs - other.waitMs)
    if (first === undefined && soonest) {
      return [2, soonest.no, Math.ceil(soonest.waitMs), soonest.remaining, soonest.resetMs]
    }
    const probe = first === undefined ? undefined : states[first]
    if (probe?.slot !== undefined) {
      probe.word = `p${probe.slot}:${nowMs + 60_000}`
      hashFor(probe.key).set(`p${probe.slot}`, String(nowMs + 60_000))
    }
    const charged = [...told.slice(0, own), ...(first === undefined ? [] : (onTargets[first] ?? []))]
    for (const { shadow: id, charge } of charged) {
      if (id === undefined) charge()
      else {
        command(['HINCRBY', shadow, id, 1])
        expire(shadow, 172_800)
      }
    }
    reply.push(...states.map(({ word }) => word))
    reply.push(...told.slice(own).map((one) => (charged.includes(one) && one.shadow === undefined ? 1 : 0)))
    for (const one of inTheWay) reply.push(...(one && one.waitMs > 0 ? [Math.ceil(one.waitMs), one.no] : [0, 0]))
    reply.push(...answerWants(read, { wants, targets, nowMs }))
    if (openId !== '') {
      const open = read.key()
      hashFor(open).set(openId, openCall)
      expire(open, 3600)
    }
    for (let key = read.rest(); key !== undefined; key = read.rest()) {
      reply.push(textAt(key) ?? null)
      expire(key, 86_400)
    }
    read.end()
    return reply
  }

  /** The script that writes a record over the one that was seen. */
  function write(keys: readonly string[], args: readonly string[]): number {
    const read = readerOf(keys, args)
    const record = read.key()
    const [version, at] = [read.arg(), read.arg()]
    const seen = hashAt(record)
    if ((seen?.get('v') ?? '') !== version || (seen?.has('v') && (seen.get('at') ?? '') !== at)) return 0
    for (const field of ['v', 'p', 'at', 'due']) hashFor(record).set(field, read.arg())
    expire(record, read.number())
    read.end()
    return 1
  }

  /** The script that keeps an answer; the lists of answers are hashes of scores here. */
  function keepAnswer(keys: readonly string[], args: readonly string[]): number {
    const read = readerOf(keys, args)
    const [entry, index, due] = [read.key(), read.key(), read.key()]
    const [nowMs, ttlMs, most] = [read.number(), read.number(), read.number()]
    entries.delete(entry)
    while (!read.isDone()) hashFor(entry).set(read.arg(), read.arg())
    expire(entry, ttlMs / 1000)
    hashFor(index).set(entry, String(nowMs))
    hashFor(due).set(entry, String(nowMs + ttlMs))
    const oldest = [...hashFor(index)].sort(([, one], [, other]) => Number(one) - Number(other))
    for (const [name] of oldest.slice(0, Math.max(0, oldest.length - most))) {
      for (const list of [index, due]) hashFor(list).delete(name)
      entries.delete(name)
    }
    return hashFor(index).size
  }

  function takeBucket(key: string, { amount, size, windowMs, nowMs }: Asked): Taken {
    const capacity = size * windowMs
    const [stored = nowMs, before = 0] = textAt(key)?.split(':').map(Number) ?? []
    const sinceMs = Math.max(stored, nowMs)
    const left = Math.max(0, Math.min(capacity, before) - (sinceMs - stored) * amount)
    const over = left + windowMs - capacity
    const level = over > 0 ? left : left + windowMs
    const resetMs = sinceMs - nowMs + Math.ceil(level / amount)
    return {
      remaining: Math.floor((capacity - level) / windowMs),
      resetMs,
      waitMs: over > 0 ? sinceMs - nowMs + Math.ceil(over / amount) : 0,
      charge: () => setText(key, `${sinceMs}:${level}`, now() + positive(resetMs)),
    }
  }

  /** A sliding window where there is one before it, else a fixed one. */
  function takeWindow(key: string, lastKey: string | undefined, { amount, size, windowMs, intoMs }: Asked): Taken {
    const [taken, before] = [Number(textAt(key) ?? 0), Number((lastKey && textAt(lastKey)) ?? 0)]
    const used = taken + (before * (windowMs - intoMs)) / windowMs
    const leftMs = windowMs - intoMs
    const isOver = size > 0 && used + size > amount
    const now = isOver ? { taken, used } : { taken: taken + size, used: used + size }
    const charge = () => {
      if (size > 0) increase(key, size)
      if (size > 0) expire(key, (2 * windowMs) / 1000)
    }
    const emptyMs = now.taken > 0 ? leftMs + windowMs : before > 0 ? leftMs : 0
    const fadesMs =
      taken + size > amount
        ? leftMs + ((taken + size - amount) * windowMs) / Math.max(1, taken)
        : ((used + size - amount) * windowMs) / Math.max(1, before)
    const waitMs = size > amount ? Number.MAX_SAFE_INTEGER : lastKey === undefined ? leftMs : fadesMs
    return {
      remaining: Math.max(0, Math.floor(amount - now.used)),
      resetMs: lastKey === undefined ? leftMs : emptyMs,
      waitMs: isOver ? waitMs : 0,
      charge,
    }
  }

  const arrive = (): void => {
    requests += 1
    if (isAway) throw new DependencyError('redis', new Error('away'))
  }

  return {
    async run(script, keys, args) {
      arrive()
      if (script === admissionScript) return admit(keys, args.map(argument))
      if (script === rememberScript) return write(keys, args.map(argument))
      if (script === noteScript) return note(keys, args.map(argument))
      if (script === keepScript) return keepAnswer(keys, args.map(argument))
      return refuse('this Redis knows only the scripts of admission, of records, of targets and of kept answers')
    },
    async pipeline(commands) {
      arrive()
      if (commands.length === 0) refuse('empty pipeline')
      return commands.map(command)
    },
    requests: () => requests,
    away: (absent) => {
      isAway = absent
    },
    forget: (prefix) => {
      for (const key of entries.keys()) if (key.startsWith(prefix)) entries.delete(key)
    },
    text: textAt,
    fields: (key) => hashAt(key) ?? new Map(),
  }
}

/** One limit, and the request that is held to it; `size` is a bucket's capacity. */
type Asked = { amount: number; size: number; windowMs: number; intoMs: number; nowMs: number }
/** A limit as it stands for a request; `shadow` is its id when it only monitors and would have refused. */
type Told = Taken & { no: number; shadow: string | undefined }
type Taken = { remaining: number; resetMs: number; waitMs: number; charge: () => void }

const whole = (value: number): number => (Number.isSafeInteger(value) ? value : refuse('not an integer'))
const positive = (value: number): number => (whole(value) > 0 ? value : refuse('invalid expire time'))
