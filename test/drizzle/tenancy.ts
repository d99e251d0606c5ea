import type { Pool } from '@neondatabase/serverless'

type Client = Pick<Pool, 'query'>

/** The one condition under which the application sees and writes rows of an organisation, as Postgres prints it. */
const CONDITION = `(org_id = NULLIF(current_setting('app.org'::text, true), ''::text))`

async function namesOf(client: Client, query: string, values: unknown[] = []): Promise<string[]> {
  const { rows } = await client.query(query, values)
  return rows.map((row: { name: string }) => row.name)
}

export const allTables = (client: Client) =>
  namesOf(
    client,
    `select relname as name from pg_class
     where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') order by 1`,
  )

/** Every table that has rows of organisations. */
export const tenantTables = (client: Client) =>
  namesOf(
    client,
    `select c.relname as name from pg_class c join pg_attribute a on a.attrelid = c.oid
     where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
       and a.attname = 'org_id' and not a.attisdropped order by 1`,
  )

/** Tables whose row-level security is off, or does not bind their owner. */
export const unforcedTables = (client: Client) =>
  namesOf(
    client,
    `select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
       and not (relrowsecurity and relforcerowsecurity) order by 1`,
  )

/**
 * Tables with rows of organisations in which an organisation could reach beyond its own: row-level security is off or
 * not forced, or the application comes in by anything else than one policy with the one condition, for reading and
 * writing. Policies add up, so a second one opens what the first one closed.
 */
export const openTables = (client: Client) =>
  namesOf(
    client,
    `select c.relname as name
     from pg_class c join pg_attribute a on a.attrelid = c.oid
     where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
       and a.attname = 'org_id' and not a.attisdropped
       and not (c.relrowsecurity and c.relforcerowsecurity and array[true] is not distinct from (
         select array_agg(coalesce(
           p.polpermissive and p.polcmd = '*' and not 0 = any (p.polroles)
             and pg_get_expr(p.polqual, p.polrelid) = $1 and pg_get_expr(p.polwithcheck, p.polrelid) = $1,
           false
         ))
         from pg_policy p
         where p.polrelid = c.oid and (0 = any (p.polroles) or 'helix_app'::regrole = any (p.polroles))
       ))
     order by 1`,
    [CONDITION],
  )
