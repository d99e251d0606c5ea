/** How ids of a table begin. A table that is not here needs its line before its rows can be looked for by id. */
const PREFIX_OF: Readonly<Record<string, string>> = {
  api_keys: 'key',
  audio_runs: 'aur',
  audit_log: 'aud',
  budgets: 'bud',
  chunks: 'chk',
  decisions: 'dec',
  duplicate_pairs: 'dup',
  embedding_spaces: 'spc',
  entities: 'ent',
  images: 'img',
  invitations: 'inv',
  jobs: 'job',
  limits: 'lim',
  login_sessions: 'ses',
  nodes: 'node',
  oidc_identities: 'idn',
  oidc_providers: 'idp',
  policies: 'pol',
  provider_credentials: 'pcr',
  providers: 'prv',
  relations: 'rel',
  responses: 'resp',
  routing_policies: 'rpl',
  secrets: 'sec',
  semantic_searches: 'sse',
  transcripts: 'trn',
  uploads: 'upl',
  usage_ledger: 'led',
  vision_runs: 'vis',
}

/** How ids of the rows begin that a word of a path or of a field's name speaks of: `key` of an `api_keys`. */
export function prefixesOf(word: string): string[] {
  const stem = word.replace(/(?:ies|y|s)$/, '')
  const tables = Object.entries({ ...PREFIX_OF, orgs: 'org', members: 'usr', users: 'usr' })
  return tables.filter(([table]) => table.split('_').some((part) => part.startsWith(stem))).map(([, prefix]) => prefix)
}

/** @throws Error when nobody has said how they begin */
export function prefixOf(table: string): string {
  const prefix = PREFIX_OF[table]
  if (prefix === undefined) throw new Error(`say in test/support/id-prefixes.ts how ids of ${table} begin`)
  return prefix
}
