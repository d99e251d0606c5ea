-- Tenant tables: as in 0001, nothing is visible to the application unless its organisation is named in the same transaction.
do $$
declare name text;
begin
  foreach name in array array['limits', 'secrets', 'request_log', 'audit_heads'] loop
    execute format('alter table %I enable row level security', name);
    execute format('alter table %I force row level security', name);
    execute format(
      'create policy "tenant" on %I to helix_app using (org_id = nullif(current_setting(''app.org'', true), '''')) with check (org_id = nullif(current_setting(''app.org'', true), ''''))',
      name
    );
    execute format('create policy "system" on %I to helix_system using (true) with check (true)', name);
  end loop;
end $$;--> statement-breakpoint
grant select, insert, update, delete on "limits", "secrets" to helix_app, helix_system;--> statement-breakpoint
grant select, insert on "request_log" to helix_app;--> statement-breakpoint
grant select, insert, delete on "request_log" to helix_system;--> statement-breakpoint
grant select on "audit_heads" to helix_app;--> statement-breakpoint
grant select, insert, update on "audit_heads" to helix_system;
--> statement-breakpoint

-- The audit log as a chain for each organisation: every row carries the hash of the one before it and its own, which
-- covers all of its columns as a JSON array of texts (the same bytes as src/features/audit/chain.ts makes of them). A
-- chain begins with the first row after this migration and is told how many rows it found: those have no place in it.
create function "chain_audit_row"() returns trigger
  language plpgsql security definer set search_path = pg_catalog, public as $$
declare
  head public.audit_heads;
begin
  -- In this order, as everybody else: the organisation's row, which the foreign key asks for anyway, then its head.
  perform from public.orgs where id = new.org_id for key share;
  select * into head from public.audit_heads where org_id = new.org_id for update;
  if not found then
    insert into public.audit_heads (org_id, seq, hash)
    select new.org_id, 0, encode(sha256(convert_to(
      array_to_json(array['helix.audit.1', new.org_id, count(*)::text])::text, 'UTF8')), 'hex')
    from public.audit_log where org_id = new.org_id
    on conflict do nothing;
    select * into head from public.audit_heads where org_id = new.org_id for update;
  end if;
  new.seq := head.seq + 1;
  new.prev_hash := head.hash;
  new.hash := encode(sha256(convert_to(array_to_json(array[
    'helix.audit.1', new.prev_hash, new.seq::text, new.id, new.org_id, new.actor_kind, new.actor_id, new.action,
    new.target_kind, new.target_id, new.before_hash, new.after_hash, new.details::text, new.ip, new.request_id,
    new.created_at::text
  ])::text, 'UTF8')), 'hex');
  update public.audit_heads set seq = new.seq, hash = new.hash where org_id = new.org_id;
  return new;
end $$;--> statement-breakpoint
alter function "chain_audit_row"() owner to helix_system;--> statement-breakpoint
revoke all on function "chain_audit_row"() from public;--> statement-breakpoint
create trigger "chain" before insert on "audit_log" for each row execute function "chain_audit_row"();
--> statement-breakpoint

-- Limits stood as JSON in policies; the release before goes on reading them there. The rows of every organisation are
-- visible to helix_system only, for which the owner is a member.
do $$
declare own text := current_user;
begin
  perform set_config('role', 'helix_system', true);
  insert into public.limits (
    id, org_id, subject_kind, subject_id, metric, algorithm, window_seconds, amount, burst, created_at, updated_at
  )
  select 'lim_' || substr(p.id, 5, 20) || substr(md5(p.id || ':' || l.place), 1, 6), p.org_id, p.attach_kind, p.attach_id,
    l.spec ->> 'metric',
    case when l.spec ->> 'metric' = 'requests' then 'token_bucket' else 'sliding_window' end, 60,
    greatest(1, floor((l.spec ->> 'per_minute')::numeric))::bigint,
    case when l.spec ->> 'metric' = 'requests' and l.spec ? 'burst'
      then greatest(1, floor((l.spec ->> 'burst')::numeric))::bigint end, p.created_at, p.updated_at
  from public.policies p, jsonb_array_elements(p.limits) with ordinality as l(spec, place);
  perform set_config('role', own, true);
end $$;--> statement-breakpoint

-- A key that replaces another is held to its limits, too; their ids are made as in copy_rules_of_key.
create function "copy_limits_of_key"() returns trigger
  language plpgsql security definer set search_path = pg_catalog, public as $$
begin
  insert into public.limits (
    id, org_id, subject_kind, subject_id, metric, algorithm, window_seconds, calendar, amount, burst, mode, preset,
    created_at, updated_at
  )
  select 'lim_' || substr(new.id, 5, 23) || to_char(row_number() over (order by l.id), 'FM000'), l.org_id, l.subject_kind,
    new.id, l.metric, l.algorithm, l.window_seconds, l.calendar, l.amount, l.burst, l.mode, l.preset, new.created_at,
    new.created_at
  from public.limits l
  where l.org_id = new.org_id and l.subject_kind = 'key' and l.subject_id = new.rotated_from;
  return null;
end $$;--> statement-breakpoint
alter function "copy_limits_of_key"() owner to helix_system;--> statement-breakpoint
revoke all on function "copy_limits_of_key"() from public;--> statement-breakpoint
create trigger "copy_limits_of_key" after insert on "api_keys"
  for each row when (new.rotated_from is not null) execute function "copy_limits_of_key"();
--> statement-breakpoint

-- As before, with what budgets have now: a name, thresholds, and an end. (The function of before is its owner's to
-- replace, so that this one has another name and takes over its trigger.)
create function "copy_rules_to_successor"() returns trigger
  language plpgsql security definer set search_path = pg_catalog, public as $$
begin
  insert into public.policies (id, org_id, attach_kind, attach_id, limits, created_at, updated_at)
  select 'pol_' || substr(new.id, 5, 23) || to_char(row_number() over (order by p.id), 'FM000'), p.org_id,
    p.attach_kind, new.id, p.limits, new.created_at, new.created_at
  from public.policies p
  where p.org_id = new.org_id and p.attach_kind = 'key' and p.attach_id = new.rotated_from;
  insert into public.budgets (
    id, org_id, name, subject_kind, subject_id, "window", limit_nanos, hard, soft_percent, created_at, updated_at
  )
  select 'bud_' || substr(new.id, 5, 23) || to_char(row_number() over (order by b.id), 'FM000'), b.org_id, b.name,
    b.subject_kind, new.id, b."window", b.limit_nanos, b.hard, b.soft_percent, new.created_at, new.created_at
  from public.budgets b
  where b.org_id = new.org_id and b.subject_kind = 'key' and b.subject_id = new.rotated_from and b.deleted_at is null;
  return null;
end $$;--> statement-breakpoint
alter function "copy_rules_to_successor"() owner to helix_system;--> statement-breakpoint
revoke all on function "copy_rules_to_successor"() from public;--> statement-breakpoint
drop trigger "copy_rules_of_key" on "api_keys";--> statement-breakpoint
create trigger "copy_rules_of_key" after insert on "api_keys"
  for each row when (new.rotated_from is not null) execute function "copy_rules_to_successor"();
