-- Which chunks hold the words of a search, the best first: those with all of them, and where these are too few also those
-- with any. Row-level security has a condition on words looked at after its own, row by row, so that the index of words
-- serves no one whom it binds. This one is bound by nothing but its first condition, which is the same.
create function "keyword_hits"(of_org text, asked text, languages regconfig[], sources text[], most int)
  returns table ("chunk_id" text, "rank" real)
  language plpgsql stable security definer set search_path = pg_catalog, public as $$
declare
  all_words tsquery;
  any_word tsquery;
  each_word tsquery[];
  found_rows int;
begin
  if of_org is distinct from nullif(current_setting('app.org', true), '') then return; end if;
  -- A row is read by the rules of its own language; what no language of the installation has asked for is in no row.
  select coalesce(tsquery_of.joined, ''::tsquery) into all_words
  from (select string_agg(distinct '(' || q::text || ')', ' | ')::tsquery as joined
    from unnest(languages) l, websearch_to_tsquery(l, asked) q where numnode(q) > 0) as tsquery_of;
  if numnode(all_words) = 0 then return; end if;

  return query
    select c.id, (0.5 + ts_rank_cd(c.tsv, websearch_to_tsquery(c.language, asked), 32) / 2)::real
    from (select id, tsv, language from public.chunks
      where org_id = of_org and is_current and tsv @@ all_words and language = any (languages)
        and (sources is null or source_id = any (sources))
      limit 5000) c
    where c.tsv @@ websearch_to_tsquery(c.language, asked)
    order by 2 desc, 1 limit most;
  get diagnostics found_rows = row_count;
  -- Without its other words, one that must not be there would stand for all that do not have it.
  if found_rows >= most or all_words::text ~ '!' then return; end if;

  any_word := regexp_replace(all_words::text, ' (&|<[-0-9]+>) ', ' | ', 'g')::tsquery;
  select array_agg(distinct lexeme[1]::tsquery) into each_word
  from regexp_matches(all_words::text, '''(?:[^'']|'''')+''(?::[*A-D]+)?', 'g') lexeme;
  -- Some of each, so that words that are everywhere do not crowd out those that tell something.
  return query
    select c.id, (ts_rank_cd(c.tsv, any_word, 32) / 2)::real
    from (select distinct on (few.id) few.id, few.tsv
      from unnest(each_word) word cross join lateral (
        select k.id, k.tsv from public.chunks k
        where k.org_id = of_org and k.is_current and k.tsv @@ word and not k.tsv @@ websearch_to_tsquery(k.language, asked)
          and k.language = any (languages) and (sources is null or k.source_id = any (sources))
        limit 500) few) c
    order by 2 desc, 1 limit most - found_rows;
end $$;--> statement-breakpoint
alter function "keyword_hits"(text, text, regconfig[], text[], int) owner to helix_system;--> statement-breakpoint
revoke all on function "keyword_hits"(text, text, regconfig[], text[], int) from public;--> statement-breakpoint
grant execute on function "keyword_hits"(text, text, regconfig[], text[], int) to helix_app;
