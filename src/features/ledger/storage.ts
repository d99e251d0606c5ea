export type SqlValue = string | number | null

/** The synchronous SQLite of a Durable Object, or of a test. */
export type LedgerStorage = {
  exec(statement: string, ...values: SqlValue[]): Record<string, SqlValue>[]
  /** Everything in it happens, or nothing. */
  transaction<T>(work: () => T): T
}

/** Marks a row that Postgres refuses: after everything that can be flushed. */
export const SET_ASIDE_MS = Number.MAX_SAFE_INTEGER

/** What is not in Postgres, whether or not it will ever be. Word for word so in a query, or its index is not used. */
export const WAITS = `(flushed_ms is null or flushed_ms = ${SET_ASIDE_MS})`

/**
 * outbox  every settled call until it was written to Postgres, and its id for half an hour more: the primary key makes a
 *         settlement happen once
 * spent   settled money by budget and bucket
 * marks   by budget: the settled and held money that a crash must not forget, and until when
 * opened  budgets whose spending before this object's first use of them is in `spent`
 * told    by budget: the highest share of its limit that somebody was told of, and in which window
 * notices what was told and is not yet in the audit log
 * days    settled money by day (UTC), for forty days
 */
export function createTables(storage: LedgerStorage): void {
  storage.exec(`create table if not exists outbox (
    request_id text primary key, row text not null, corrections text not null, counters text not null,
    held integer not null, booked_ms integer not null, flushed_ms integer)`)
  // Of those that wait alone: each entry of an index is a write that is paid for.
  storage.exec('drop index if exists outbox_flushed')
  storage.exec(`create index if not exists outbox_waiting on outbox (booked_ms) where ${WAITS}`)
  storage.exec(`create table if not exists spent (
    budget_id text not null, bucket text not null, nanos integer not null, primary key (budget_id, bucket))`)
  storage.exec(
    'create table if not exists marks (budget_id text primary key, nanos integer not null, until_ms integer not null)',
  )
  storage.exec('create table if not exists opened (budget_id text primary key)')
  storage.exec(
    'create table if not exists told (budget_id text primary key, bucket text not null, percent integer not null)',
  )
  storage.exec('create table if not exists notices (id text primary key, facts text not null)')
  storage.exec('create table if not exists days (day text primary key, nanos integer not null)')
}
