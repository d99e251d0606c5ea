import { DurableObject } from 'cloudflare:workers'
import { Redis } from '@upstash/redis/cloudflare'

type Budget = { id: string; window: string; limitNanoUsd: number }
export type FloorHold = { request_id: string; open: string }
export type FloorSettlement = {
  request_id: string
  cost_nanos: number
  budgets: readonly Budget[]
  rowText: string
  correctionsText: string
  countersText: string
}
type Env = {
  DATABASE_URL: string
  NEON_PROXY_URL: string
  UPSTASH_REDIS_REST_URL: string
  UPSTASH_REDIS_REST_TOKEN: string
}

const FLUSH_AFTER_MS = 1000
const FLUSH_BATCH = 500

/** Holds in memory, one transaction a settlement, a batch to each store a second; it refuses and remembers nothing. */
export class FloorLedger extends DurableObject<Env> {
  readonly #sql: SqlStorage
  readonly #held = new Map<string, string>()
  #alarmIsSet = false

  constructor(state: DurableObjectState, env: Env) {
    super(state, env)
    this.#sql = state.storage.sql
    // The ledger's own tables: what they cost to write is not what is measured here.
    this.#sql.exec(
      `create table if not exists outbox (
        request_id text primary key, row text not null, corrections text not null, counters text not null,
        held integer not null, booked_ms integer not null, flushed_ms integer)`,
    )
    this.#sql.exec('create index if not exists outbox_flushed on outbox (flushed_ms, booked_ms)')
    this.#sql.exec(
      `create table if not exists spent (
        budget_id text not null, bucket text not null, nanos integer not null, primary key (budget_id, bucket))`,
    )
  }

  async hold({ request_id, open }: FloorHold): Promise<boolean> {
    this.#held.set(request_id, open)
    return true
  }

  async settle({ request_id, cost_nanos, budgets, ...texts }: FloorSettlement): Promise<boolean> {
    this.#held.delete(request_id)
    this.ctx.storage.transactionSync(() => {
      this.#sql
        .exec(
          `insert into outbox (request_id, row, corrections, counters, held, booked_ms) values (?, ?, ?, ?, ?, ?)
           on conflict do nothing returning request_id`,
          request_id,
          texts.rowText,
          texts.correctionsText,
          texts.countersText,
          1,
          Date.now(),
        )
        .toArray()
      for (const { id } of budgets) {
        this.#sql.exec(
          `insert into spent (budget_id, bucket, nanos) values (?, ?, ?)
           on conflict (budget_id, bucket) do update set nanos = nanos + excluded.nanos`,
          id,
          'total',
          cost_nanos,
        )
      }
    })
    if (!this.#alarmIsSet) {
      this.#alarmIsSet = true
      void this.ctx.storage.setAlarm(Date.now() + FLUSH_AFTER_MS)
    }
    return true
  }

  override async alarm(): Promise<void> {
    this.#alarmIsSet = false
    for (;;) {
      const entries = this.#sql
        .exec<{ request_id: string; row: string }>(
          'select request_id, row from outbox where flushed_ms is null limit ?',
          FLUSH_BATCH,
        )
        .toArray()
      if (entries.length === 0) return
      await this.#toPostgres(`[${entries.map(({ row }) => row).join(',')}]`)
      await this.#toRedis(entries.length)
      this.#sql.exec(
        `update outbox set flushed_ms = ?, row = '', corrections = ''
         where request_id in (select value from json_each(?))`,
        Date.now(),
        JSON.stringify(entries.map(({ request_id }) => request_id)),
      )
    }
  }

  /** What the driver sends for a batch, with rows that nothing keeps. */
  async #toPostgres(rows: string): Promise<void> {
    const queries = [
      { query: "select set_config('app.org', $1, true)", params: ['org_floor'] },
      { query: 'select count(*) from json_array_elements($1::json)', params: [rows] },
    ]
    const response = await fetch(`${this.env.NEON_PROXY_URL}/sql`, {
      method: 'POST',
      headers: { 'neon-connection-string': this.env.DATABASE_URL, 'neon-array-mode': 'true' },
      body: JSON.stringify({ queries }),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`Postgres answered ${response.status}: ${text}`)
  }

  async #toRedis(count: number): Promise<void> {
    const pipeline = new Redis({
      url: this.env.UPSTASH_REDIS_REST_URL,
      token: this.env.UPSTASH_REDIS_REST_TOKEN,
      enableTelemetry: false,
      retry: false,
    }).pipeline()
    for (let field = 0; field < 24; field++) pipeline.hincrby('floor:metrics', `counter_${field}`, count)
    await pipeline.exec()
  }
}

export const worker = { fetch: () => new Response(null, { status: 404 }) }
