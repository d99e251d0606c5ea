import { cString, frame } from './wire.ts'

/** Rewrites the names of prepared statements, so that sessions sharing one backend cannot collide. */
export type StatementNames = {
  /** Parse, Bind, Describe and Close come back with the name used on the backend; other messages as they are. */
  rewrite(message: Buffer): Buffer
  /** Close messages for everything this session prepared. */
  closeAll(): Buffer
}

/** Names are replaced, not prefixed: Postgres cuts them at 63 bytes, and a cut name could collide again. */
export function createStatementNames(sessionId: number): StatementNames {
  const names = new Map<string, string>()
  let counter = 0

  function backendName(name: string): string {
    const known = names.get(name)
    if (known) return known
    counter += 1
    const created = `s${sessionId}_${counter}`
    names.set(name, created)
    return created
  }

  function rewriteAt(message: Buffer, start: number): Buffer {
    const end = message.indexOf(0, start)
    if (end <= start) return message
    const name = message.subarray(start, end).toString()
    const type = String.fromCharCode(message.readUInt8(0))
    const replaced = frame(type, message.subarray(5, start), Buffer.from(backendName(name)), message.subarray(end))
    if (type === 'C') names.delete(name)
    return replaced
  }

  return {
    rewrite(message) {
      const type = String.fromCharCode(message.readUInt8(0))
      if (type === 'P') return rewriteAt(message, 5)
      if (type === 'B') return rewriteAt(message, message.indexOf(0, 5) + 1)
      const isStatement = (type === 'D' || type === 'C') && message[5] === 0x53
      return isStatement ? rewriteAt(message, 6) : message
    },
    closeAll() {
      return Buffer.concat([...names.values()].map((name) => frame('C', Buffer.from('S'), cString(name))))
    },
  }
}
