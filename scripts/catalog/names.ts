import {
  aliases,
  exclusions,
  extraNames,
  foreignSpellings,
  sentAs,
  versionedOnly,
} from '../../src/features/catalog/overrides.ts'

/** How the data package tells which names are a model. */
export type Matcher =
  | { or: Matcher[] }
  | { and: Matcher[] }
  | { equals: string }
  | { starts_with: string }
  | { contains: string }
  | { ends_with: string }
  | { regex: string }

/**
 * The names of a model, the vendor's own first. A mark says how a name may be used: none, as it is or with a date;
 * `*` also with a preview or version suffix; `^` with a suffix only; `=` a spelling for which the first is sent.
 */
export type Names = { own: string; marked: string[] }

/** Why a name may not be in the catalog, or undefined when it may. */
export function exclusionOf(vendor: string, name: string): string | undefined {
  return exclusions.find((each) => (each.vendor === '*' || each.vendor === vendor) && each.names.test(name))?.reason
}

/** Names of a model of the data, with hand-kept spellings, further names and aliases added. */
export function namesOf(vendor: string, id: string, matcher: Matcher): Names {
  const found = new Map<string, string>()
  collect(matcher, found)
  const own = sentAs[vendor]?.[id] ?? id
  if (own !== id) found.set(id, found.get(id) ?? '=')
  if (own !== id && !versionedOnly[vendor]?.test(id)) found.set(id, '=')
  if (!found.has(own)) found.set(own, '')
  for (const extra of extraNames[vendor]?.[id] ?? []) found.set(extra, '')
  const marked = [...found]
    .filter(([name]) => name !== own && exclusionOf(vendor, name) === undefined)
    .map(([name, mark]) => markFor(vendor, name, mark) + name)
  return withAliases(vendor, own, [(found.get(own) ?? '') + own, ...marked])
}

/** The vendor's own name with the aliases that callers may use for it. */
export function withAliases(vendor: string, own: string, marked: string[]): Names {
  const short = Object.entries(aliases[vendor] ?? {}).filter(([, name]) => name === own)
  return { own, marked: [...marked, ...short.map(([alias]) => `=${alias}`)] }
}

function markFor(vendor: string, name: string, mark: string): string {
  if (foreignSpellings[vendor]?.test(name)) return '='
  if (versionedOnly[vendor]?.test(name)) return '^'
  return mark
}

function collect(matcher: Matcher, found: Map<string, string>): void {
  if ('or' in matcher) for (const each of matcher.or) collect(each, found)
  else if ('and' in matcher) for (const each of matcher.and) collect(each, found)
  else if ('equals' in matcher) found.set(matcher.equals, found.get(matcher.equals) ?? '')
  else if ('starts_with' in matcher) addStem(matcher.starts_with, found)
  else if ('contains' in matcher) addStem(matcher.contains, found)
  else if ('ends_with' in matcher) addStem(matcher.ends_with, found)
  // A pattern only ever adds dates, which any name may carry.
}

function addStem(text: string, found: Map<string, string>): void {
  found.set(text.replace(/-$/, ''), '*')
}
