-- Tenant tables: as in 0001, nothing is visible to the application unless its organisation is named in the same transaction.
do $$
declare name text;
begin
  foreach name in array array[
    'memberships', 'invitations', 'login_sessions', 'refresh_tokens', 'oidc_providers', 'oidc_identities',
    'audit_log', 'idempotency_keys', 'data_keys'
  ] loop
    execute format('alter table %I enable row level security', name);
    execute format('alter table %I force row level security', name);
    execute format(
      'create policy "tenant" on %I to helix_app using (org_id = nullif(current_setting(''app.org'', true), '''')) with check (org_id = nullif(current_setting(''app.org'', true), ''''))',
      name
    );
    execute format('create policy "system" on %I to helix_system using (true) with check (true)', name);
    execute format('grant select, insert, update, delete on %I to helix_app, helix_system', name);
  end loop;
end $$;--> statement-breakpoint
revoke update, delete on "audit_log" from helix_app, helix_system;--> statement-breakpoint
grant insert on "orgs" to helix_app;--> statement-breakpoint
-- People belong to no organisation: an organisation sees those who have a membership in it.
alter table "users" enable row level security;--> statement-breakpoint
alter table "users" force row level security;--> statement-breakpoint
create policy "fellows" on "users" to helix_app
  using (exists (
    select from "memberships" m
    where m.user_id = "users"."id" and m.org_id = nullif(current_setting('app.org', true), '')
  ));--> statement-breakpoint
create policy "system" on "users" to helix_system using (true) with check (true);--> statement-breakpoint
-- The application itself changes what people are called and no more; the rest is for the functions below.
grant select, update ("display_name", "updated_at") on "users" to helix_app;--> statement-breakpoint
grant select, insert, update, delete on "users" to helix_system;--> statement-breakpoint
-- Tokens that were mailed: written by the application, read and used by the functions below only.
alter table "user_tokens" enable row level security;--> statement-breakpoint
alter table "user_tokens" force row level security;--> statement-breakpoint
create policy "write" on "user_tokens" for insert to helix_app with check (true);--> statement-breakpoint
create policy "system" on "user_tokens" to helix_system using (true) with check (true);--> statement-breakpoint
grant insert on "user_tokens" to helix_app;--> statement-breakpoint
grant select, insert, update, delete on "user_tokens", "bootstrap_tokens" to helix_system;--> statement-breakpoint
alter table "bootstrap_tokens" enable row level security;--> statement-breakpoint
alter table "bootstrap_tokens" force row level security;--> statement-breakpoint
create policy "system" on "bootstrap_tokens" to helix_system using (true) with check (true);--> statement-breakpoint
-- Signing keys are the installation's; their private halves are sealed.
alter table "signing_keys" enable row level security;--> statement-breakpoint
alter table "signing_keys" force row level security;--> statement-breakpoint
create policy "everyone" on "signing_keys" to helix_app, helix_system using (true) with check (true);--> statement-breakpoint
grant select, insert, update on "signing_keys" to helix_app;--> statement-breakpoint
grant select, insert, update, delete on "signing_keys" to helix_system;--> statement-breakpoint

create function "refuse_change"() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = 'HX403';
end $$;--> statement-breakpoint
create trigger "append_only" before update or delete or truncate on "audit_log"
  for each statement execute function "refuse_change"();--> statement-breakpoint

-- Two owners who leave at the same time wait for each other at their organisation's row.
create function "keep_an_owner"() returns trigger
  language plpgsql security definer set search_path = pg_catalog, public as $$
begin
  perform from public.orgs where id = old.org_id for update;
  if not exists (
    select from public.memberships where org_id = old.org_id and role = 'owner' and is_active
  ) then
    raise exception 'an organisation keeps an owner' using errcode = 'HX409';
  end if;
  return null;
end $$;--> statement-breakpoint
create trigger "keep_an_owner" after update or delete on "memberships"
  for each row when (old.role = 'owner' and old.is_active) execute function "keep_an_owner"();--> statement-breakpoint

-- What a transaction rests on, for statements that were all written before the first of them ran.
create function "require"("held" boolean, "state" text) returns void language plpgsql as $$
begin
  if held is not true then
    raise exception 'the transaction rests on what is not so' using errcode = state;
  end if;
end $$;--> statement-breakpoint

-- Two issuers that are added at the same time wait for each other in the same way.
create function "few_oidc_providers"() returns trigger
  language plpgsql security definer set search_path = pg_catalog, public as $$
begin
  perform from public.orgs where id = new.org_id for update;
  if (select count(*) from public.oidc_providers where org_id = new.org_id and deleted_at is null) > 10 then
    raise exception 'an organisation has at most ten issuers' using errcode = 'HX409';
  end if;
  return null;
end $$;--> statement-breakpoint
create trigger "few_oidc_providers" after insert on "oidc_providers"
  for each row execute function "few_oidc_providers"();--> statement-breakpoint

-- A key that replaces another is held to the same limits and budgets. Their ids are made from the key's: its time and
-- most of its randomness, and a number.
create function "copy_rules_of_key"() returns trigger
  language plpgsql security definer set search_path = pg_catalog, public as $$
begin
  insert into public.policies (id, org_id, attach_kind, attach_id, limits, created_at, updated_at)
  select 'pol_' || substr(new.id, 5, 23) || to_char(row_number() over (order by p.id), 'FM000'), p.org_id,
    p.attach_kind, new.id, p.limits, new.created_at, new.created_at
  from public.policies p
  where p.org_id = new.org_id and p.attach_kind = 'key' and p.attach_id = new.rotated_from;
  insert into public.budgets (
    id, org_id, subject_kind, subject_id, "window", limit_nanos, hard, created_at, updated_at
  )
  select 'bud_' || substr(new.id, 5, 23) || to_char(row_number() over (order by b.id), 'FM000'), b.org_id,
    b.subject_kind, new.id, b."window", b.limit_nanos, b.hard, new.created_at, new.created_at
  from public.budgets b
  where b.org_id = new.org_id and b.subject_kind = 'key' and b.subject_id = new.rotated_from;
  return null;
end $$;--> statement-breakpoint
create trigger "copy_rules_of_key" after insert on "api_keys"
  for each row when (new.rotated_from is not null) execute function "copy_rules_of_key"();--> statement-breakpoint

-- Look-ups that come before the organisation is known. find_key follows find_api_key, which the release before still calls.
create function "find_key"("hash" text)
  returns table (
    "id" text, "org_id" text, "user_id" text, "role" text, "mode" text, "scopes" text[], "allowed_models" text[],
    "allowed_ips" text[], "expires_at" bigint, "is_live" boolean
  )
  language sql stable security definer set search_path = pg_catalog, public
  as $$
    select k.id, k.org_id, k.user_id, m.role, k.mode, k.scopes, k.allowed_models, k.allowed_ips, k.expires_at,
      k.revoked_at is null and o.status = 'active' and o.deleted_at is null
        and (k.user_id is null or coalesce(m.is_active and u.is_active, false))
    from public.api_keys k
    join public.orgs o on o.id = k.org_id
    left join public.users u on u.id = k.user_id
    left join public.memberships m on m.org_id = k.org_id and m.user_id = k.user_id
    where k.secret_hash = hash
  $$;--> statement-breakpoint
create function "find_login"("name" text)
  returns table (
    "id" text, "username" text, "email" text, "password_hash" text, "is_active" boolean, "is_operator" boolean,
    "locked_until" bigint
  )
  language sql stable security definer set search_path = pg_catalog, public
  as $$
    select u.id, u.username, u.email, u.password_hash, u.is_active, u.is_operator, u.locked_until
    from public.users u where u.username_key = name or u.email_key = name limit 1
  $$;--> statement-breakpoint
create function "find_memberships"("of_user" text)
  returns table (
    "org_id" text, "org_name" text, "org_slug" text, "plan" text, "role" text, "is_live" boolean, "created_at" bigint
  )
  language sql stable security definer set search_path = pg_catalog, public
  as $$
    select m.org_id, o.name, o.slug, o.plan, m.role, m.is_active and o.status = 'active', m.created_at
    from public.memberships m join public.orgs o on o.id = m.org_id
    where m.user_id = of_user and o.deleted_at is null
    order by m.created_at, m.org_id
  $$;--> statement-breakpoint
create function "find_invitation"("hash" text)
  returns table (
    "id" text, "org_id" text, "org_name" text, "email" text, "role" text, "invited_by" text, "expires_at" bigint,
    "accepted_at" bigint
  )
  language sql stable security definer set search_path = pg_catalog, public
  as $$
    select i.id, i.org_id, o.name, i.email, i.role, i.invited_by, i.expires_at, i.accepted_at
    from public.invitations i join public.orgs o on o.id = i.org_id
    where i.token_hash = hash and o.status = 'active' and o.deleted_at is null
  $$;--> statement-breakpoint
create function "find_oidc_providers"("of_issuer" text)
  returns table (
    "id" text, "org_id" text, "issuer" text, "client_id" text, "audiences" text[], "jwks_uri" text,
    "allowed_algs" text[], "claim_map" jsonb, "required_claims" jsonb, "role_map" jsonb, "default_role" text,
    "auto_create" boolean, "max_role" text
  )
  language sql stable security definer set search_path = pg_catalog, public
  as $$
    select p.id, p.org_id, p.issuer, p.client_id, p.audiences, p.jwks_uri, p.allowed_algs, p.claim_map,
      p.required_claims, p.role_map, p.default_role, p.auto_create, p.max_role
    from public.oidc_providers p join public.orgs o on o.id = p.org_id
    where p.issuer = of_issuer and p.deleted_at is null and o.status = 'active' and o.deleted_at is null
  $$;--> statement-breakpoint

-- What a person does as such, in whatever organisation.
create function "create_user"(
    "new_id" text, "new_username" text, "new_username_key" text, "new_email" text, "new_email_key" text,
    "new_password_hash" text, "verified_at" bigint, "now" bigint
  )
  returns void language sql security definer set search_path = pg_catalog, public
  as $$
    insert into public.users (
      id, username, username_key, email, email_key, password_hash, email_verified_at, created_at, updated_at
    )
    values (new_id, new_username, new_username_key, new_email, new_email_key, new_password_hash, verified_at, now, now)
  $$;--> statement-breakpoint
-- Ten failures in a row lock an account for a quarter of an hour.
create function "note_login"("of_user" text, "succeeded" boolean, "now" bigint)
  returns table ("failed_logins" integer, "locked_until" bigint)
  language sql security definer set search_path = pg_catalog, public
  as $$
    update public.users u set
      failed_logins = case when succeeded or u.failed_logins >= 9 then 0 else u.failed_logins + 1 end,
      locked_until = case when succeeded then null when u.failed_logins >= 9 then now + 900 else u.locked_until end,
      last_login_at = case when succeeded then now else u.last_login_at end
    where u.id = of_user
    returning u.failed_logins, u.locked_until
  $$;--> statement-breakpoint
-- Whoever sets a password ends every mailed way to set another, and to give the account another address: either may have
-- been asked for by the one whom the new password is to keep out.
create function "set_password"("of_user" text, "new_hash" text, "now" bigint)
  returns void language sql security definer set search_path = pg_catalog, public
  as $$
    update public.users set password_hash = new_hash, failed_logins = 0, locked_until = null, updated_at = now
    where id = of_user;
    update public.user_tokens t set used_at = now
    from public.users u
    where u.id = of_user and t.user_id = u.id and t.used_at is null
      and (t.purpose = 'reset_password' or t.email is distinct from u.email)
  $$;--> statement-breakpoint
create function "find_user_token"("hash" text, "for_purpose" text, "now" bigint)
  returns table ("user_id" text, "username" text, "email" text)
  language sql stable security definer set search_path = pg_catalog, public
  as $$
    select t.user_id, u.username, t.email
    from public.user_tokens t join public.users u on u.id = t.user_id
    where t.token_hash = hash and t.purpose = for_purpose and t.used_at is null and t.expires_at > now and u.is_active
  $$;--> statement-breakpoint
create function "use_user_token"("hash" text, "for_purpose" text, "now" bigint)
  returns table ("user_id" text, "username" text, "email" text)
  language sql security definer set search_path = pg_catalog, public
  as $$
    update public.user_tokens t set used_at = now
    from public.users u
    where t.token_hash = hash and t.purpose = for_purpose and t.used_at is null and t.expires_at > now
      and u.id = t.user_id and u.is_active
    returning t.user_id, u.username, t.email
  $$;--> statement-breakpoint
-- The address that a mail was answered from becomes the person's, unless another person has it. What was mailed to
-- another address is void: it is theirs no more.
create function "verify_email"("of_user" text, "new_email" text, "new_email_key" text, "now" bigint)
  returns void language sql security definer set search_path = pg_catalog, public
  as $$
    update public.users set email = new_email, email_key = new_email_key, email_verified_at = now, updated_at = now
    where id = of_user;
    update public.user_tokens set used_at = now
    where user_id = of_user and used_at is null and email is distinct from new_email
  $$;--> statement-breakpoint
create function "find_sessions"("of_user" text, "now" bigint)
  returns table (
    "id" text, "org_id" text, "org_name" text, "audience" text, "method" text, "user_agent" text, "ip" text,
    "created_at" bigint, "refreshed_at" bigint, "expires_at" bigint
  )
  language sql stable security definer set search_path = pg_catalog, public
  as $$
    select s.id, s.org_id, o.name, s.audience, s.method, s.user_agent, s.ip, s.created_at, s.refreshed_at, s.expires_at
    from public.login_sessions s join public.orgs o on o.id = s.org_id
    where s.user_id = of_user and s.revoked_at is null and s.expires_at > now
    order by s.created_at desc, s.id desc
  $$;--> statement-breakpoint
-- Ends a person's sessions: one, or (with null) all of them except one. Answers the ids of those that were alive.
create function "revoke_sessions"("of_user" text, "only_id" text, "except_id" text, "now" bigint)
  returns table ("id" text, "org_id" text) language sql security definer set search_path = pg_catalog, public
  as $$
    update public.login_sessions s set revoked_at = now, updated_at = now
    where s.user_id = of_user and s.revoked_at is null
      and (only_id is null or s.id = only_id) and s.id is distinct from except_id
    returning s.id, s.org_id
  $$;--> statement-breakpoint
-- Ends those of a person's live sessions that were quiet the longest, beyond so many. For an organisation, only of those
-- that another issuer vouched for there: it has no say about the person elsewhere.
create function "trim_sessions"("of_user" text, "vouched_in" text, "keep" integer, "now" bigint)
  returns table ("id" text, "org_id" text) language plpgsql security definer set search_path = pg_catalog, public
  as $$
begin
  perform pg_advisory_xact_lock(hashtext('sessions'), hashtext(of_user));
  return query
    update public.login_sessions s set revoked_at = trim_sessions.now, updated_at = trim_sessions.now
    where s.id in (
      select l.id from public.login_sessions l
      where l.user_id = of_user and l.revoked_at is null and l.expires_at > trim_sessions.now
        and (vouched_in is null or (l.org_id = vouched_in and l.method = 'oidc'))
      order by coalesce(l.refreshed_at, l.created_at) desc, l.id desc offset keep
    )
    returning s.id, s.org_id;
end $$;--> statement-breakpoint
-- The session that a refresh token belongs to, whatever has become of either.
create function "find_refresh"("hash" text) returns table ("session_id" text)
  language sql stable security definer set search_path = pg_catalog, public
  as $$ select r.session_id from public.refresh_tokens r where r.token_hash = hash $$;--> statement-breakpoint
-- One use of a refresh token. Of two at the same time the second waits for the first, and then finds it used. What the
-- session may be now comes along, so that nothing can be in the way of the answer once the old token is gone.
create function "rotate_refresh"("old_hash" text, "new_hash" text, "now" bigint, "idle_seconds" bigint)
  returns table (
    "outcome" text, "session_id" text, "org_id" text, "user_id" text, "audience" text, "method" text, "role" text,
    "max_role" text, "refresh_expires_at" bigint
  )
  language plpgsql security definer set search_path = pg_catalog, public
  as $$
#variable_conflict use_column
declare
  token public.refresh_tokens;
  session public.login_sessions;
  role_now text;
  until bigint;
  result text;
begin
  select * into token from public.refresh_tokens r where r.token_hash = old_hash for update;
  if not found then
    return query select 'unknown', null::text, null::text, null::text, null::text, null::text, null::text, null::text,
      null::bigint;
    return;
  end if;
  select * into session from public.login_sessions s where s.id = token.session_id for update;
  select m.role into role_now
  from public.memberships m
  join public.users u on u.id = m.user_id
  join public.orgs o on o.id = m.org_id
  where m.org_id = session.org_id and m.user_id = session.user_id and m.is_active and u.is_active
    and o.status = 'active' and o.deleted_at is null and (session.audience <> 'helix-admin' or u.is_operator);
  until := least(rotate_refresh.now + idle_seconds, session.expires_at);
  if session.revoked_at is not null then
    result := 'revoked';
  elsif token.rotated_at is not null then
    update public.login_sessions s set revoked_at = rotate_refresh.now, updated_at = rotate_refresh.now
    where s.id = session.id;
    result := 'reused';
  elsif token.expires_at <= rotate_refresh.now or session.expires_at <= rotate_refresh.now then
    result := 'expired';
  elsif role_now is null then
    result := 'barred';
  else
    update public.refresh_tokens r set rotated_at = rotate_refresh.now where r.token_hash = old_hash;
    insert into public.refresh_tokens (token_hash, org_id, session_id, expires_at, created_at)
    values (new_hash, session.org_id, session.id, until, rotate_refresh.now);
    update public.login_sessions s set refreshed_at = rotate_refresh.now, updated_at = rotate_refresh.now
    where s.id = session.id;
    result := 'rotated';
  end if;
  return query select result, session.id, session.org_id, session.user_id, session.audience, session.method, role_now,
    session.max_role, until;
end $$;--> statement-breakpoint

-- The first operator. Whoever holds a live token may try as long as there is none.
create function "bootstrap_is_open"("now" bigint) returns boolean
  language sql stable security definer set search_path = pg_catalog, public
  as $$
    select not exists (select from public.users where is_operator)
      and exists (select from public.bootstrap_tokens where used_at is null and expires_at > now)
  $$;--> statement-breakpoint
create function "use_bootstrap_token"("hash" text, "for_user" text, "now" bigint) returns void
  language plpgsql security definer set search_path = pg_catalog, public
  as $$
begin
  perform pg_advisory_xact_lock(hashtext('bootstrap'));
  update public.bootstrap_tokens t set used_at = use_bootstrap_token.now
  where t.token_hash = hash and t.used_at is null and t.expires_at > use_bootstrap_token.now
    and not exists (select from public.users where is_operator);
  if not found then
    raise exception 'no such bootstrap token' using errcode = 'HX404';
  end if;
  update public.users set is_operator = true where id = for_user;
end $$;--> statement-breakpoint

-- Operators look across organisations.
create function "admin_orgs"("search" text, "before_id" text, "up_to" integer)
  returns table (
    "id" text, "name" text, "slug" text, "plan" text, "status" text, "deleted_at" bigint, "members" bigint,
    "created_at" bigint
  )
  language sql stable security definer set search_path = pg_catalog, public
  as $$
    select o.id, o.name, o.slug, o.plan, o.status, o.deleted_at,
      (select count(*) from public.memberships m where m.org_id = o.id), o.created_at
    from public.orgs o
    where (before_id is null or o.id < before_id)
      and (search is null or strpos(lower(o.name), lower(search)) > 0 or o.slug = search or o.id = search)
    order by o.id desc limit up_to
  $$;--> statement-breakpoint
create function "admin_users"("search" text, "before_id" text, "up_to" integer)
  returns table (
    "id" text, "username" text, "email" text, "display_name" text, "is_active" boolean, "is_operator" boolean,
    "email_verified_at" bigint, "last_login_at" bigint, "created_at" bigint
  )
  language sql stable security definer set search_path = pg_catalog, public
  as $$
    select u.id, u.username, u.email, u.display_name, u.is_active, u.is_operator, u.email_verified_at, u.last_login_at,
      u.created_at
    from public.users u
    where (before_id is null or u.id < before_id)
      and (search is null or strpos(u.username_key, lower(search)) > 0 or strpos(u.email_key, lower(search)) > 0
        or u.id = search)
    order by u.id desc limit up_to
  $$;--> statement-breakpoint
-- Null leaves a field as it is. The last active operator stays one.
create function "admin_update_user"("of_user" text, "set_active" boolean, "set_operator" boolean, "now" bigint)
  returns boolean
  language plpgsql security definer set search_path = pg_catalog, public
  as $$
begin
  perform pg_advisory_xact_lock(hashtext('operators'));
  update public.users u set
    is_active = coalesce(set_active, u.is_active), is_operator = coalesce(set_operator, u.is_operator),
    updated_at = admin_update_user.now
  where u.id = of_user;
  if not found then
    return false;
  end if;
  if not exists (select from public.users where is_operator and is_active) then
    raise exception 'an installation keeps an operator' using errcode = 'HX409';
  end if;
  return true;
end $$;--> statement-breakpoint

do $$
declare signature text;
begin
  foreach signature in array array[
    'keep_an_owner()', 'few_oidc_providers()', 'copy_rules_of_key()', 'find_key(text)', 'find_login(text)', 'find_memberships(text)',
    'find_invitation(text)', 'find_oidc_providers(text)',
    'create_user(text, text, text, text, text, text, bigint, bigint)', 'note_login(text, boolean, bigint)',
    'set_password(text, text, bigint)', 'find_user_token(text, text, bigint)', 'use_user_token(text, text, bigint)',
    'verify_email(text, text, text, bigint)',
    'find_sessions(text, bigint)', 'revoke_sessions(text, text, text, bigint)',
    'trim_sessions(text, text, integer, bigint)', 'find_refresh(text)', 'rotate_refresh(text, text, bigint, bigint)',
    'bootstrap_is_open(bigint)',
    'use_bootstrap_token(text, text, bigint)', 'admin_orgs(text, text, integer)', 'admin_users(text, text, integer)',
    'admin_update_user(text, boolean, boolean, bigint)'
  ] loop
    -- Unless it is named last, the schema of temporary tables is searched first, and whoever calls can write there.
    execute format('alter function %s set search_path = pg_catalog, public, pg_temp', signature);
    execute format('alter function %s owner to helix_system', signature);
    execute format('revoke all on function %s from public', signature);
    execute format('grant execute on function %s to helix_app', signature);
  end loop;
end $$;
