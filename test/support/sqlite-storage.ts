import { DatabaseSync } from 'node:sqlite'
import type { LedgerStorage, SqlValue } from '../../src/features/ledger/storage.ts'

/** What a Durable Object's SQLite does, on Node's own; a new book over the same storage is the object's next life. */
export function sqliteStorage(): LedgerStorage {
  const database = new DatabaseSync(':memory:')
  const prepared = new Map<string, ReturnType<DatabaseSync['prepare']>>()
  return {
    exec(statement, ...values) {
      const known = prepared.get(statement) ?? database.prepare(statement)
      prepared.set(statement, known)
      return known.all(...values) as Record<string, SqlValue>[]
    },
    transaction(work) {
      database.exec('begin')
      try {
        const result = work()
        database.exec('commit')
        return result
      } catch (error) {
        database.exec('rollback')
        throw error
      }
    },
  }
}
