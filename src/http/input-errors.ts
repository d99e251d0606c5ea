import type * as z from 'zod'
import { AppError, type FieldError } from '../core/errors.ts'
import type { Dialect, Rejected } from './route.ts'

const MAX_FIELDS = 20

type Issue = z.core.$ZodIssue
type Fault = { path: readonly PropertyKey[]; rule: string }

/** A place as OpenAI writes it: `messages[0].content`. */
export function paramOf(path: readonly PropertyKey[]): string {
  let param = ''
  for (const key of path) {
    if (typeof key === 'number') param += `[${key}]`
    else param += param === '' ? String(key) : `.${String(key)}`
  }
  return param
}

/** A place as a JSON pointer (RFC 6901): `/messages/0/content`. */
export const pointerOf = (path: readonly PropertyKey[]): string =>
  path.map((key) => `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')

const depthOf = (issues: readonly Issue[]): number => issues.reduce((most, { path }) => Math.max(most, path.length), 0)

/** Of a union's alternatives, the one that the input got furthest into: most likely the one that was meant. */
function meantBranch(branches: readonly (readonly Issue[])[]): readonly Issue[] | undefined {
  const [best, ...others] = [...branches].sort((a, b) => depthOf(b) - depthOf(a) || a.length - b.length)
  if (best === undefined) return undefined
  const isOnlyOne = others.every((other) => depthOf(other) < depthOf(best) || other.length > best.length)
  return isOnlyOne ? best : undefined
}

/** What one alternative wants, where that can be said in a word. */
function wantOf([first]: readonly Issue[]): string | undefined {
  if (first === undefined || first.path.length > 0) return undefined
  if (first.code === 'invalid_type') return first.expected
  return first.code === 'invalid_value' ? first.values.map((value) => JSON.stringify(value)).join(' or ') : undefined
}

/** The field whose absence speaks against one alternative. */
const lackOf = ([first]: readonly Issue[]): string | undefined =>
  first?.code === 'invalid_type' && first.path.length > 0 && isMissing(first) ? paramOf(first.path) : undefined

const isMissing = ({ message }: Issue): boolean => message.endsWith('received undefined')

function unionRule(branches: readonly (readonly Issue[])[]): string {
  const lacks = branches.map(lackOf).filter((lack) => lack !== undefined)
  if (lacks.length === branches.length) return `needs ${[...new Set(lacks)].join(' or ')}`
  const wants = branches.map(wantOf).filter((want) => want !== undefined)
  const isSaid = wants.length === branches.length && wants.length > 0
  return isSaid ? `expected ${[...new Set(wants)].join(' or ')}` : 'fits none of the allowed forms'
}

/** What is said of a field that broke one plain rule, in the words of its caller rather than of the checker. */
function ruleOf(issue: Issue): string {
  const rule = issue.message.replace(/^Invalid (?:input|option): /, '')
  if (isMissing(issue)) return `required, ${rule.replace(/, received undefined$/, '')}`
  if (issue.code !== 'invalid_type') return rule
  if (issue.expected === 'int') return 'expected a whole number'
  return rule.endsWith('received NaN') ? `expected ${issue.expected}` : rule
}

function faultsOf(issue: Issue, parent: readonly PropertyKey[]): Fault[] {
  const path = [...parent, ...issue.path]
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: [...path, key], rule: 'unknown field' }))
  }
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    const meant = meantBranch(issue.errors)
    return meant?.flatMap((inner) => faultsOf(inner, path)) ?? [{ path, rule: unionRule(issue.errors) }]
  }
  return [{ path, rule: ruleOf(issue) }]
}

function bodyFields(faults: readonly Fault[]): FieldError[] {
  return faults.map(({ path, rule }) => ({ pointer: pointerOf(path), detail: rule }))
}

function namedFields(faults: readonly Fault[]): FieldError[] {
  return faults.map(({ path, rule }) => ({ pointer: paramOf(path), detail: rule }))
}

/**
 * What a caller is told of input that broke its schema: 404 for a path that cannot exist, else 400 in OpenAI's
 * dialect and 422 in the other. The message names the first field and its rule, never the value.
 */
export function inputError({ place, issues }: Rejected, dialect: Dialect): AppError {
  if (place === 'params') return new AppError('not_found', 'No such resource.')
  const faults = issues.flatMap((issue) => faultsOf(issue, []))
  const [first] = faults
  const param = first === undefined ? '' : paramOf(first.path)
  const more = faults.length > 1 ? ` (and ${faults.length - 1} more)` : ''
  return new AppError('invalid_request', `${param || place}: ${first?.rule ?? 'invalid'}${more}`, {
    param: param || undefined,
    fields: (place === 'body' ? bodyFields : namedFields)(faults.slice(0, MAX_FIELDS)),
    ...(dialect === 'problem' && { status: 422 }),
  })
}
