-- Prices are of everybody. They are written by whoever migrates, with each release, and never change.
alter table "prices" enable row level security;--> statement-breakpoint
alter table "prices" force row level security;--> statement-breakpoint
create policy "read" on "prices" for select to helix_app, helix_system using (true);--> statement-breakpoint
create policy "write" on "prices" to helix_owner using (true) with check (true);--> statement-breakpoint
grant select on "prices" to helix_app, helix_system;--> statement-breakpoint
create function "keep_price"() returns trigger language plpgsql as $$
begin
  raise exception 'a price is never changed or removed: add another row' using errcode = 'HX409';
end $$;--> statement-breakpoint
create trigger "keep_price" before update or delete on "prices"
  for each row execute function "keep_price"();--> statement-breakpoint

-- A key that replaces another is of the same line, whose first key names it.
create function "name_root_of_key"() returns trigger
  language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  new.root_id := coalesce(
    (select k.root_id from public.api_keys k where k.org_id = new.org_id and k.id = new.rotated_from), new.id);
  return new;
end $$;--> statement-breakpoint
alter function "name_root_of_key"() owner to helix_system;--> statement-breakpoint
revoke all on function "name_root_of_key"() from public;--> statement-breakpoint
create trigger "name_root_of_key" before insert on "api_keys"
  for each row execute function "name_root_of_key"();--> statement-breakpoint
do $$
declare own text := current_user;
begin
  perform set_config('role', 'helix_system', true);
  with recursive line (id, org_id, root_id) as (
    select id, org_id, id from public.api_keys k
    where rotated_from is null
      or not exists (select from public.api_keys p where p.org_id = k.org_id and p.id = k.rotated_from)
    union all
    select k.id, k.org_id, line.root_id from public.api_keys k join line on k.org_id = line.org_id and k.rotated_from = line.id
  )
  update public.api_keys k set root_id = line.root_id from line where line.id = k.id;
  perform set_config('role', own, true);
end $$;--> statement-breakpoint

-- What binds a key binds its whole line, and goes by the name of the newest: a replaced key is no way out of a budget
-- that is spent. (Until here a successor got copies, which began at nothing.)
drop trigger "copy_rules_of_key" on "api_keys";--> statement-breakpoint
drop trigger "copy_limits_of_key" on "api_keys";--> statement-breakpoint
create function "hand_rules_on"() returns trigger
  language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  update public.limits set subject_id = new.id
  where org_id = new.org_id and subject_kind = 'key' and subject_id = new.rotated_from;
  update public.budgets set subject_id = new.id
  where org_id = new.org_id and subject_kind = 'key' and subject_id = new.rotated_from;
  return null;
end $$;--> statement-breakpoint
alter function "hand_rules_on"() owner to helix_system;--> statement-breakpoint
revoke all on function "hand_rules_on"() from public;--> statement-breakpoint
create trigger "hand_rules_on" after insert on "api_keys"
  for each row when (new.rotated_from is not null) execute function "hand_rules_on"();
--> statement-breakpoint

-- A row of the release before says nothing of the cache writes of an hour: it knew of none.
create function "fill_ledger_row"() returns trigger language plpgsql as $$
begin
  new.cache_write_1h_tokens := 0;
  return new;
end $$;--> statement-breakpoint
create trigger "fill_ledger_row" before insert on "usage_ledger"
  for each row when (new.cache_write_1h_tokens is null) execute function "fill_ledger_row"();
