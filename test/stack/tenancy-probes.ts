import type { Entry } from '../contract/route-table.ts'
import type { Planted } from '../support/canaries.ts'
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
  const refused = ids.find((id) => !takes(entry, id))
  // What takes anything is no id of ours: a model's name, an error's code.
  return refused === undefined ? kindsOf(ids).slice(0, FEW) : [...ids.filter((id) => takes(entry, id)), refused]
}

export const takes = (entry: Entry, id: string): boolean =>
  entry.route.spec.params?.safeParse(paramsOf(entry, id)).success === true

/** What a field of that name could hold. */
const LIKELY: Readonly<Record<string, RegExp>> = {
  org_id: /^org_/,
  user_id: /^usr_/,
  username: /-(?:owner|member)$/,
  key: /^(?:key|hx)_/,
}

/** Of values that are no id of ours wherever they stand. */
const FEW = 2

/** One id of each kind that may stand in a field, and one that may not; in the full lane all of them. */
export function idsAt({ field }: IdField, ids: readonly string[]): readonly string[] {
  const likely = LIKELY[field]
  const kinds = kindsOf(ids).slice(0, field.includes('.') ? FEW : undefined)
  const fitting = likely ? ids.filter((id) => likely.test(id)) : kinds
  // Signing in costs a password hash each time: there it is only what can be an organisation.
  if (field === 'org_id') return fitting
  if (full()) return ids
  const other = ids.find((id) => !fitting.includes(id))
  return other === undefined ? fitting : [...fitting, other]
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
