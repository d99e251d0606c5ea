import { sql } from 'drizzle-orm'
import {
  bigint,
  boolean,
  doublePrecision,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
  uniqueIndex,
} from 'drizzle-orm/pg-core'
import type { RoutingPolicy } from '../../core/routing.ts'
import { orgs } from '../orgs/table.ts'

/** What a version of a routing policy says, as it is compiled into its callers' policies. */
export type RoutingRules = Omit<RoutingPolicy, 'id' | 'version'>

/** How calls are routed that an organisation, one of its keys or one of its agents makes. */
export const routingPolicies = pgTable(
  'routing_policies',
  {
    id: text().primaryKey(),
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    name: text().notNull(),
    /** Whose calls it governs; nobody's while it is attached to nothing. */
    attach_kind: text({ enum: ['org', 'key', 'agent'] }),
    attach_id: text(),
    rules: jsonb().$type<RoutingRules>().notNull(),
    /** Counts up with every change of the rules. */
    version: integer().notNull(),
    deleted_at: bigint({ mode: 'number' }),
    created_at: bigint({ mode: 'number' }).notNull(),
    updated_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [
    index().on(table.org_id, table.created_at),
    uniqueIndex().on(table.org_id, table.name).where(sql`deleted_at is null`),
    uniqueIndex()
      .on(table.org_id, table.attach_kind, table.attach_id)
      .where(sql`deleted_at is null and attach_kind is not null`),
  ],
)

/** Everything that a routing policy ever said. Append-only. */
export const routingPolicyVersions = pgTable(
  'routing_policy_versions',
  {
    policy_id: text()
      .notNull()
      .references(() => routingPolicies.id),
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    version: integer().notNull(),
    rules: jsonb().$type<RoutingRules>().notNull(),
    /** Who made it: a user's or a key's id. */
    created_by: text(),
    created_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.policy_id, table.version] }), index().on(table.org_id)],
)

/** Models that somebody took out of use, or put back. */
export const modelMarks = pgTable(
  'model_marks',
  {
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    /** A name as a caller asks for it, or `provider/model`. */
    model: text().notNull(),
    available: boolean().notNull(),
    reason: text().notNull(),
    /** Unix seconds; null until it is changed. */
    until: bigint({ mode: 'number' }),
    updated_by: text(),
    created_at: bigint({ mode: 'number' }).notNull(),
    updated_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.org_id, table.model] })],
)

/** How an organisation's calls of a target went, by the hour; made of the ledger and the decisions. */
export const modelStats = pgTable(
  'model_stats',
  {
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    /** When the hour began, Unix seconds. */
    hour: bigint({ mode: 'number' }).notNull(),
    provider: text().notNull(),
    model: text().notNull(),
    task_type: text().notNull(),
    calls: integer().notNull(),
    ok: integer().notNull(),
    /** By what went wrong. */
    errors: jsonb().$type<Record<string, number>>().notNull(),
    latency_p50_ms: integer(),
    latency_p95_ms: integer(),
    ttft_p50_ms: integer(),
    ttft_p95_ms: integer(),
    tokens_per_second: doublePrecision(),
    prompt_tokens: bigint({ mode: 'number' }).notNull(),
    completion_tokens: bigint({ mode: 'number' }).notNull(),
    completion_p75: integer(),
    cost_nanos: bigint({ mode: 'number' }).notNull(),
    /** Of answers that were judged: the mean, 0 to 10, and how many. */
    quality_mean: doublePrecision(),
    quality_count: integer().notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.org_id, table.hour, table.provider, table.model, table.task_type] }),
    // Every policy that is compiled asks for the few hours in which answers were judged.
    index().on(table.org_id, table.hour).where(sql`quality_count > 0`),
  ],
)
