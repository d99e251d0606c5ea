do $$
declare name text;
begin
  foreach name in array array['nodes', 'jobs', 'uploads', 'images', 'vision_runs', 'audio_runs', 'transcripts', 'semantic_sources', 'chunks', 'entities', 'relations', 'duplicate_pairs', 'semantic_searches'] loop
    execute format('alter table %I enable row level security', name);
    execute format('alter table %I force row level security', name);
    execute format(
      'create policy "tenant" on %I to helix_app using (org_id = nullif(current_setting(''app.org'', true), '''')) with check (org_id = nullif(current_setting(''app.org'', true), ''''))',
      name
    );
    execute format('create policy "system" on %I to helix_system using (true) with check (true)', name);
    execute format('grant select, insert, update, delete on %I to helix_app, helix_system', name);
  end loop;
end $$;
