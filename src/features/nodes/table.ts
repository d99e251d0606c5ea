import { sql } from 'drizzle-orm'
import { bigint, boolean, index, integer, jsonb, pgTable, text, uniqueIndex } from 'drizzle-orm/pg-core'
import type { NodeLimits } from '../../core/node.ts'
import { orgs } from '../orgs/table.ts'

/** GPU machines of an organisation's own, each behind a tunnel; nobody else's calls reach them. */
export const nodes = pgTable(
  'nodes',
  {
    id: text().primaryKey(),
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    /** What calls name it by: `name/model`. */
    name: text().notNull(),
    /** Of its Ollama, without the path of an endpoint. */
    base_url: text().notNull(),
    /** Of an OpenAI-compatible speech server beside it. */
    speech_url: text(),
    /** Of its agent: GPU figures and measurements. */
    metrics_url: text(),
    /** Sealed: a service token or a bearer token, as JSON (features/nodes/credential.ts). Null where it asks for none. */
    credential: text(),
    /** Version of the data key it is sealed under. */
    dek_version: integer(),
    /** What may be shown of the credential. */
    credential_hint: text(),
    /** 1 to 100; smaller is tried first. */
    priority: integer().notNull().default(50),
    enabled: boolean().notNull().default(true),
    /** Takes no new work; what runs may end. */
    drain: boolean().notNull().default(false),
    limits: jsonb().$type<Partial<NodeLimits>>().notNull().default({}),
    /** Names and patterns (`llama3*`) of models that may be pulled to it; null allows every name. */
    allowed_pulls: jsonb().$type<string[]>(),
    deleted_at: bigint({ mode: 'number' }),
    created_at: bigint({ mode: 'number' }).notNull(),
    updated_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [
    index().on(table.org_id, table.created_at),
    uniqueIndex().on(table.org_id, table.name).where(sql`deleted_at is null`),
  ],
)
