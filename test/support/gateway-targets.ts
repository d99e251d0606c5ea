import { type Hash, type Reader, readerOf } from './gateway-script.ts'

type Store = {
  hashAt: (key: string) => Hash | undefined
  hashFor: (key: string) => Hash
  increase: (key: string, amount: number) => number
  expire: (key: string, seconds: number) => number
}

/** What the scripts do with targets, line by line in another language. */
export function targetScripts({ hashAt, hashFor, increase, expire }: Store) {
  function stateOf(key: string, nowMs: number): { key: string; word: string | null; slot?: number } {
    const hash = hashAt(key)
    const [open, cool] = [hash?.get('u'), hash?.get('c')]
    if (Number(open ?? 0) > nowMs) return { key, word: `o${open}` }
    if (Number(cool ?? 0) > nowMs) return { key, word: `c${cool}` }
    if (open === undefined) return { key, word: null }
    const leases = [1, 2, 3].map((slot) => Number(hash?.get(`p${slot}`) ?? 0))
    const free = leases.findIndex((leaseMs) => leaseMs <= nowMs)
    return { key, word: `o${Math.max(nowMs, Math.min(...leases))}`, ...(free >= 0 && { slot: free + 1 }) }
  }

  /** What only some calls ask. */
  function answerWants(read: Reader, { wants, targets, nowMs }: { wants: string; targets: number; nowMs: number }) {
    const each = <T>(make: (at: number) => T): T[] => Array.from({ length: targets }, (_, at) => make(at))
    const reply: unknown[] = []
    if (wants.includes('f')) {
      const field = read.arg()
      for (const hash of each(() => hashAt(read.key()))) reply.push(hash?.get('f') ?? null, hash?.get(field) ?? null)
    }
    if (wants.includes('b')) {
      const isolate = read.arg()
      const counts = each(() => read.number())
      for (const [at, key] of each(() => read.key()).entries())
        reply.push(countBusy(key, isolate, counts[at] ?? 0, nowMs))
    }
    if (wants.includes('t')) reply.push(increase(read.key(), 1))
    if (wants.includes('c')) {
      const [entry, index, held] = [read.key(), read.key(), read.arg()]
      const stamp = (hashAt(index)?.has(entry) && hashAt(entry)?.get('s')) || null
      reply.push(stamp, stamp === null || stamp === held ? null : (hashAt(entry)?.get('v') ?? null))
      if (stamp !== null) hashFor(index).set(entry, String(nowMs))
    }
    return reply
  }

  function countBusy(key: string, isolate: string, mine: number, nowMs: number): number {
    const hash = hashFor(key)
    for (const [other, told] of hash) {
      const [, atMs = 0] = told.split(':').map(Number)
      if (other === isolate || atMs + 10_000 <= nowMs) hash.delete(other)
    }
    const others = [...hash.values()].reduce((sum, told) => sum + Number(told.split(':')[0]), 0)
    if (mine > 0) hash.set(isolate, `${mine}:${nowMs}`)
    return others + mine
  }

  /** The script that notes what came of a call of a target. */
  function note(keys: readonly string[], args: readonly string[]): unknown[] {
    const read = readerOf(keys, args)
    const [key, index] = [read.key(), read.key()]
    const hash = hashFor(key)
    const [nowMs, what, told, place, lease] = [read.number(), read.arg(), read.arg(), read.arg(), read.arg()]
    const [askedMs, random] = [read.number(), read.number()]
    read.end()
    const number = (field: string) => Number(hash.get(field) ?? 0)
    const drop = (...fields: string[]) => {
      for (const field of fields) hash.delete(field)
    }
    let moved = ''
    const isProbe = place !== '' && hash.get(place) === lease
    if (isProbe) hash.delete(place)
    const openFor = (times: number) => {
      drop('f', 'g', 'p1', 'p2', 'p3', 'w0', 'w1', 'w2', 'w3', 'w4', 'w5')
      hash.set('u', String(nowMs + Math.min(60_000, 10_000 * 2 ** (times - 1)))).set('k', String(times))
      moved = 'opened'
    }
    if (hash.has('u')) {
      if (isProbe && what === 'fail') openFor(number('k') + 1)
      else if (isProbe && what === 'good' && number('g') >= 1) {
        drop('u', 'k', 'g', 'q', 'p1', 'p2', 'p3')
        moved = 'closed'
      } else if (isProbe && what === 'good') hash.set('g', '1')
    } else if (what === 'fail' || told !== '') {
      const newest = Math.floor(nowMs / 10_000)
      const windows = new Map(
        [0, 1, 2, 3, 4, 5].flatMap((slot) => {
          const [bucket = 0, all = 0, bad = 0] = (hash.get(`w${slot}`) ?? '').split(':').map(Number)
          return bucket > newest - 6 ? [[bucket, { all, bad }] as const] : []
        }),
      )
      const goods = [...told.matchAll(/(\d+)=(\d+)/g)].map((pair) => [Number(pair[1]), Number(pair[2]), 0] as const)
      for (const [bucket, all, bad] of [...goods, ...(what === 'fail' ? [[newest, 1, 1] as const] : [])]) {
        const known = windows.get(bucket)
        const isTaken = [...windows.keys()].some((other) => other % 6 === bucket % 6 && other > bucket)
        if (bucket > newest - 6 && !isTaken) {
          windows.set(bucket, { all: (known?.all ?? 0) + all, bad: (known?.bad ?? 0) + bad })
        }
      }
      const inRow = (told === '' ? number('f') : 0) + (what === 'fail' ? 1 : 0)
      const [all, bad] = [...windows.values()].reduce(([sum, failed], one) => [sum + one.all, failed + one.bad], [0, 0])
      if (what === 'fail' && (inRow >= 5 || (all >= 20 && bad * 2 >= all))) openFor(1)
      else {
        hash.set('f', String(inRow))
        for (const [bucket, one] of windows) hash.set(`w${bucket % 6}`, `${bucket}:${one.all}:${one.bad}`)
      }
    }
    if (what === 'cool') {
      const before = told === '' ? number('q') : 0
      const isNew = askedMs === 0 && number('c') <= nowMs
      const chosenMs = nowMs + Math.floor(Math.min(30_000, 1000 * 2 ** before) * (1 + 0.1 * (2 * random - 1)))
      if (isNew) hash.set('q', String(Math.min(10, before + 1)))
      hash.set('c', String(Math.max(number('c'), isNew ? chosenMs : askedMs)))
    }
    if (moved !== '' && !key.startsWith('tgt:prv_')) hashFor(index).set(key.slice('tgt:'.length), String(number('u')))
    const [open, cool] = [number('u'), number('c') > nowMs ? number('c') : 0]
    expire(key, Math.ceil((Math.max(nowMs, open, cool) - nowMs + 600_000) / 1000))
    return [moved, open, cool]
  }

  return { stateOf, answerWants, note }
}
