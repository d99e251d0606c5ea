do $$
declare name text;
begin
  foreach name in array array['routing_policies', 'routing_policy_versions', 'model_marks', 'model_stats', 'ensemble_configs'] loop
    execute format('alter table %I enable row level security', name);
    execute format('alter table %I force row level security', name);
    execute format(
      'create policy "tenant" on %I to helix_app using (org_id = nullif(current_setting(''app.org'', true), '''')) with check (org_id = nullif(current_setting(''app.org'', true), ''''))',
      name
    );
    execute format('create policy "system" on %I to helix_system using (true) with check (true)', name);
  end loop;
end $$;--> statement-breakpoint
grant select, insert, update, delete on "routing_policies", "model_marks", "model_stats", "ensemble_configs" to helix_app, helix_system;--> statement-breakpoint
grant select, insert on "routing_policy_versions" to helix_app;--> statement-breakpoint
grant select, insert, delete on "routing_policy_versions" to helix_system;
