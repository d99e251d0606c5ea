-- Run by scripts/migrate.ts as an administrator, before the migrations and again whenever it is given one: every line may run twice.
-- Passwords are set by the script from the three connection strings and never stand in a file.
do $$ begin create role helix_owner login noinherit; exception when duplicate_object then null; end $$;
do $$ begin create role helix_app login; exception when duplicate_object then null; end $$;
do $$ begin create role helix_system login; exception when duplicate_object then null; end $$;

-- The owner hands functions over to helix_system, for which it must be a member; noinherit keeps the rows from it.
grant helix_system to helix_owner;

do $$ begin execute format('grant create on database %I to helix_owner', current_database()); end $$;
grant usage, create on schema public to helix_owner, helix_system;
grant usage on schema public to helix_app;

-- Where an administrator has to make it, the migrations find it made. Without pgvector it is they who say what is missing.
do $$ begin create extension if not exists vector; exception when undefined_file or feature_not_supported then raise notice 'pgvector is not installed'; end $$;
