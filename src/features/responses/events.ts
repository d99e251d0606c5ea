import { sseEvent } from '../../http/sse.ts'
import type { MaybeLater } from '../completions/service.ts'
import type { Fields } from './response.ts'

/** Numbers events in the order in which they are added, and gives them as text. */
export type Events = {
  /** What is not known yet keeps its place. A promise must not reject. */
  add(type: string, fields: Fields | Promise<Fields>): void
  /** What was added since the last time. */
  take(): MaybeLater
}

export function createEvents(): Events {
  let number = 0
  let ready = ''
  let later: MaybeLater[] = []

  return {
    add(type, fields) {
      const sequence_number = number++
      const written = (known: Fields) => sseEvent(type, JSON.stringify({ type, sequence_number, ...known }))
      if (fields instanceof Promise) {
        later.push(ready, fields.then(written))
        ready = ''
      } else ready += written(fields)
    },
    take() {
      const [text, before] = [ready, later]
      ready = ''
      if (before.length === 0) return text
      later = []
      return Promise.all([...before, text]).then((texts) => texts.join(''))
    },
  }
}

/** Events for answers in one piece, which have none. */
export const noEvents: Events = { add: () => undefined, take: () => '' }
