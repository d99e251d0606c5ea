import type { Entry } from '../contract/route-table.ts'
import type { Planted } from '../support/canaries.ts'
import { prefixesOf } from '../support/id-prefixes.ts'
import { full } from '../support/lane.ts'
import type { Answer } from '../support/route-calls.ts'
import type { IdField } from './tenancy-calls.ts'

/** What of the other organisation an answer shows, beside what the call itself named. */
export function foreignIn({ head, body }: Answer, theirs: Planted, named: string | undefined): string[] {
  const all = `${head}\n${body}`
  const shown = named === undefined ? all : all.replaceAll(named, '')
  return [...theirs.canaries, ...theirs.ids].filter((text) => shown.includes(text))
}

/** The ids that a path takes, and one that it does not take; in the full lane all of them. */
export function idsFor(entry: Entry, ids: readonly string[]): readonly string[] {
  if (full()) return ids
  const taken = ids.filter((id) => takes(entry, id))
  const refused = ids.filter((id) => !takes(entry, id)).slice(0, 1)
  // What takes ids of several kinds takes names of the caller's own: a model's, a provider's, a text's.
  const kinds = kindsOf(taken)
  return [...(kinds.length > 1 ? kinds.slice(0, FEW) : taken), ...refused]
}

export const takes = (entry: Entry, id: string): boolean =>
  entry.route.spec.params?.safeParse(paramsOf(entry, id)).success === true

/** What a field of that name could hold. */
const LIKELY: Readonly<Record<string, RegExp>> = {
  org_id: /^org_/,
  user_id: /^usr_/,
  username: /-(?:owner|member)$/,
  subject_id: /^(?:org|usr|key)_/,
  key: /^(?:key|hx)_/,
}

/** Of values that are no id of ours wherever they stand. */
const FEW = 2

/**
 * Ids for a field: of what its name or its route speaks of, and one of another kind, in turn with the fields before it;
 * in the full lane all of them.
 */
export function idsAt({ entry, field }: IdField, ids: readonly string[], turn: number): readonly string[] {
  const likely = LIKELY[field]
  const own = likely ? ids.filter((id) => likely.test(id)) : ownKinds(entry, field, ids)
  // Signing in costs a password hash each time: there it is only what can be an organisation.
  if (field === 'org_id') return own
  if (full()) return ids
  const others = kindsOf(ids.filter((id) => !own.includes(id)))
  return [...own, ...others.slice(turn % Math.max(others.length, 1)).slice(0, 1)]
}

/** A field is named after what it holds (`upload_id`), and where a list goes on after what the list is of. */
function ownKinds({ route }: Entry, field: string, ids: readonly string[]): string[] {
  const name = field.split('.').at(-1) ?? ''
  const words =
    name === 'after' || name === 'id' ? route.path.replace('/api/', '').split(/[/:]/) : [name.replace(/_ids?$/, '')]
  const prefixes = words.filter((word) => word.length > 2).flatMap((word) => word.split(/[_-]/).flatMap(prefixesOf))
  return kindsOf(ids).filter((id) => prefixes.some((prefix) => id.startsWith(`${prefix}_`)))
}

/** The first id with each prefix. */
function kindsOf(ids: readonly string[]): string[] {
  const kinds = new Map<string, string>()
  for (const id of ids) {
    const kind = /^([a-z]+)_[0-9a-z]{26}$/.exec(id)?.[1]
    if (kind !== undefined && !kinds.has(kind)) kinds.set(kind, id)
  }
  return [...kinds.values()]
}

export const paramsOf = ({ route }: Entry, id: string): Record<string, string> =>
  Object.fromEntries([...route.path.matchAll(/:(\w+)/g)].map(([, name = '']) => [name, id]))

/** Every way in which these ids fit into a path; a row below another has a place of its own for each. */
export function paramSetsOf({ route }: Entry, ids: readonly string[]): Record<string, string>[] {
  const names = [...route.path.matchAll(/:(\w+)/g)].map(([, name = '']) => name)
  const sets = names.reduce<Record<string, string>[]>(
    (begun, name) => begun.flatMap((set) => ids.map((id) => ({ ...set, [name]: id }))),
    [{}],
  )
  return sets.filter((set) => route.spec.params?.safeParse(set).success === true)
}

/** Nobody was let in. 401 and 429 would say nothing about whose row it is, where there is a caller. */
export const isRefused = ({ route }: Entry, status: number) =>
  status >= 400 && status < 500 && (route.spec.scope === 'public' || (status !== 401 && status !== 429))
