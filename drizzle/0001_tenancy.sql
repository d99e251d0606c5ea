-- No row is visible to the application unless its organisation is named in the same transaction (app.org).
-- helix_system crosses organisations: it has a policy of its own, no BYPASSRLS, and only the grants below.
alter table "orgs" enable row level security;--> statement-breakpoint
alter table "orgs" force row level security;--> statement-breakpoint
create policy "tenant" on "orgs" to helix_app
  using ("id" = nullif(current_setting('app.org', true), ''))
  with check ("id" = nullif(current_setting('app.org', true), ''));--> statement-breakpoint
create policy "system" on "orgs" to helix_system using (true) with check (true);--> statement-breakpoint
alter table "api_keys" enable row level security;--> statement-breakpoint
alter table "api_keys" force row level security;--> statement-breakpoint
create policy "tenant" on "api_keys" to helix_app
  using ("org_id" = nullif(current_setting('app.org', true), ''))
  with check ("org_id" = nullif(current_setting('app.org', true), ''));--> statement-breakpoint
create policy "system" on "api_keys" to helix_system using (true) with check (true);--> statement-breakpoint
alter table "policies" enable row level security;--> statement-breakpoint
alter table "policies" force row level security;--> statement-breakpoint
create policy "tenant" on "policies" to helix_app
  using ("org_id" = nullif(current_setting('app.org', true), ''))
  with check ("org_id" = nullif(current_setting('app.org', true), ''));--> statement-breakpoint
create policy "system" on "policies" to helix_system using (true) with check (true);--> statement-breakpoint
alter table "budgets" enable row level security;--> statement-breakpoint
alter table "budgets" force row level security;--> statement-breakpoint
create policy "tenant" on "budgets" to helix_app
  using ("org_id" = nullif(current_setting('app.org', true), ''))
  with check ("org_id" = nullif(current_setting('app.org', true), ''));--> statement-breakpoint
create policy "system" on "budgets" to helix_system using (true) with check (true);--> statement-breakpoint
alter table "usage_ledger" enable row level security;--> statement-breakpoint
alter table "usage_ledger" force row level security;--> statement-breakpoint
create policy "tenant" on "usage_ledger" to helix_app
  using ("org_id" = nullif(current_setting('app.org', true), ''))
  with check ("org_id" = nullif(current_setting('app.org', true), ''));--> statement-breakpoint
create policy "system" on "usage_ledger" to helix_system using (true) with check (true);--> statement-breakpoint
grant select, update on "orgs" to helix_app;--> statement-breakpoint
grant select, insert, update, delete on "api_keys", "policies", "budgets" to helix_app;--> statement-breakpoint
grant select, insert on "usage_ledger" to helix_app;--> statement-breakpoint
grant select, insert, update, delete on "orgs", "api_keys", "policies", "budgets" to helix_system;--> statement-breakpoint
grant select, insert on "usage_ledger" to helix_system;--> statement-breakpoint
-- The look-up that comes before the organisation is known: one row by its hash, nothing else.
create function "find_api_key"("hash" text)
  returns table (
    "id" text, "org_id" text, "mode" text, "scopes" text[], "allowed_models" text[],
    "expires_at" bigint, "revoked_at" bigint, "org_status" text
  )
  language sql stable security definer set search_path = pg_catalog, public
  as $$
    select k.id, k.org_id, k.mode, k.scopes, k.allowed_models, k.expires_at, k.revoked_at, o.status
    from public.api_keys k join public.orgs o on o.id = k.org_id
    where k.secret_hash = hash
  $$;--> statement-breakpoint
alter function "find_api_key"(text) owner to helix_system;--> statement-breakpoint
revoke all on function "find_api_key"(text) from public;--> statement-breakpoint
grant execute on function "find_api_key"(text) to helix_app;
