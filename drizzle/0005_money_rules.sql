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
