import { createStatementNames } from './statement-names.ts'
import { cString, frame } from './wire.ts'

/** Messages that are executed together, without another session in between. */
export type Cycle = { bytes: Buffer }

export type CycleBuilder = {
  /** Collects a frontend message; returns the cycle that it completes. */
  add(message: Buffer): Cycle | undefined
  /** Messages that drop every prepared statement of the session. */
  closeStatements(): Buffer
}

const COPY_MESSAGES = new Set(['d', 'c', 'f'])
/**
 * The backend reads COPY data from the same buffer as the messages and gives up the whole process at its end. A
 * CopyFail in every cycle turns COPY FROM STDIN into an ordinary error; outside of a copy the backend ignores it.
 */
const copyFail = frame('f', cString('COPY FROM STDIN is not supported by the embedded Postgres'))

export function createCycleBuilder(sessionId: number): CycleBuilder {
  const names = createStatementNames(sessionId)
  let collected: Buffer[] = []

  return {
    add(message) {
      const type = String.fromCharCode(message.readUInt8(0))
      // What a client still sends after its copy was refused.
      if (COPY_MESSAGES.has(type)) return undefined
      const isSimple = type === 'Q' || type === 'F'
      const isEnd = isSimple || type === 'S' || type === 'H'
      const rewritten = names.rewrite(message)
      if (!isEnd) {
        collected.push(rewritten)
        return undefined
      }
      const last = isSimple ? [rewritten, copyFail] : [copyFail, rewritten]
      const bytes = Buffer.concat([...collected, ...last])
      collected = []
      return { bytes }
    },
    closeStatements: names.closeAll,
  }
}
