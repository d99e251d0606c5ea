create function "ensemble_status"("since" bigint)
  returns table (
    "target" text, "calls" bigint, "asked" bigint, "answered" bigint, "won" bigint, "confidence" double precision,
    "quality" double precision, "agreement" double precision, "cost" numeric, "compared" numeric, "chosen" numeric
  )
  language sql stable security definer set search_path = pg_catalog, public, pg_temp
  as $$
    with calls as (
      select d.ensemble,
        (select coalesce(sum((part->>'cost_nanos')::numeric), 0)
          from jsonb_array_elements((d.ensemble->'members') || (d.ensemble->'helpers')) part) as cost,
        (select sum((part->>'cost_nanos')::numeric)
          from jsonb_array_elements(d.ensemble->'members') part where (part->>'won')::boolean) as chosen
      from public.decisions d
      where d.ensemble is not null and d.created_at >= since
        and jsonb_typeof(d.ensemble->'members') = 'array' and jsonb_typeof(d.ensemble->'helpers') = 'array'
    )
    select null, count(*), null, null, null, null::double precision, null::double precision,
      avg((ensemble->>'agreement')::double precision), coalesce(sum(cost), 0),
      coalesce(sum(cost) filter (where chosen > 0), 0), coalesce(sum(chosen) filter (where chosen > 0), 0)
    from calls
    union all (
      select member->>'target', null, count(*), count(*) filter (where member->>'outcome' = 'ok'),
        count(*) filter (where (member->>'won')::boolean), avg((member->>'confidence')::double precision),
        avg((member->>'quality')::double precision), null, sum((member->>'cost_nanos')::numeric), null, null
      from calls, jsonb_array_elements(ensemble->'members') member
      group by 1 order by 3 desc, 1 limit 100
    )
  $$;--> statement-breakpoint
alter function "ensemble_status"(bigint) owner to helix_system;--> statement-breakpoint
revoke all on function "ensemble_status"(bigint) from public;--> statement-breakpoint
grant execute on function "ensemble_status"(bigint) to helix_app;
