/** What may be done, and who may do it: the one table behind enforcement, documentation and tests. */

/** Every area of the API that a scope can name. */
export const scopeAreas = [
  'chat',
  'models',
  'providers',
  'routing',
  'cache',
  'semantic',
  'vision',
  'audio',
  'crossmodal',
  'knowledge',
  'memory',
  'agents',
  'tasks',
  'tools',
  'sessions',
  'workflows',
  'integration',
  'queues',
  'content',
  'connectors',
  'http',
  'learning',
  'experiments',
  'feedback',
  'quality',
  'analytics',
  'personalization',
  'trends',
  'search',
  'monitoring',
  'logs',
  'plugins',
  'security',
  'guardrails',
  'governance',
  'budgets',
  'secrets',
  'keys',
  'members',
  'org',
  'node',
  'docs',
  'flags',
  'audit',
  'act_as',
] as const

export type ScopeArea = (typeof scopeAreas)[number]
export type AreaScope = `${ScopeArea}:${'read' | 'write'}`
/** `*:read` and `*:*` stand for every area. */
export type GrantedScope = AreaScope | '*:read' | '*:*'

/** Least first: nobody grants a role above their own. */
export const roles = ['readonly', 'member', 'admin', 'owner'] as const
export type Role = (typeof roles)[number]

/**
 * What a person's session carries beside area scopes; an API key never does. `user`: someone signed in. `owner`: an
 * owner of the organisation. `operator`: platform staff, signed in for that purpose.
 */
export type Marker = 'user' | 'owner' | 'operator'

const WORKING: readonly ScopeArea[] = [
  'chat',
  'semantic',
  'vision',
  'audio',
  'crossmodal',
  'knowledge',
  'memory',
  'agents',
  'tasks',
  'sessions',
  'workflows',
  'content',
  'http',
  'feedback',
  'personalization',
  'search',
  'docs',
]
const READ_BY_MEMBERS: readonly ScopeArea[] = ['models', 'learning', 'analytics']

const readOf = (area: ScopeArea): AreaScope => `${area}:read`
const writeOf = (area: ScopeArea): AreaScope => `${area}:write`

/** `keys` and `secrets` are a member's own only: their handlers see to that. */
export const scopesOfRole: Readonly<Record<Role, readonly GrantedScope[]>> = {
  owner: ['*:*'],
  admin: ['*:*'],
  member: [...WORKING.map(writeOf), ...READ_BY_MEMBERS.map(readOf), 'keys:write', 'secrets:write'],
  readonly: [...WORKING, ...READ_BY_MEMBERS, 'monitoring' as const].map(readOf),
}

/** What a person holds who is signed in to an organisation. */
export const heldBy = (role: Role): readonly (GrantedScope | Marker)[] => [
  ...scopesOfRole[role],
  'user',
  ...(role === 'owner' ? (['owner'] as const) : []),
]

/** What an operator holds who is signed in as one: nothing of any organisation. */
export const heldByOperators: readonly Marker[] = ['user', 'operator']

export const isRole = (text: unknown): text is Role => roles.some((role) => role === text)

/** Whether one role reaches as far as another. */
export const reaches = (role: Role, other: Role): boolean => roles.indexOf(role) >= roles.indexOf(other)

/** The lesser of two roles. */
export const lesserRole = (left: Role, right: Role): Role => (reaches(left, right) ? right : left)

const SCOPE = new RegExp(`^(?:(?:${scopeAreas.join('|')}):(?:read|write)|\\*:read|\\*:\\*)$`)

/** Whether a text is a scope that may be granted to a key. */
export const isGrantedScope = (text: string): text is GrantedScope => SCOPE.test(text)

/** What a route asks whose answer is about its caller alone: a credential, whatever it is for. */
export const ANY_CREDENTIAL = 'credential'

/** Whether scopes allow what a route asks; `a|b` asks for either. Writing an area includes reading it. */
export function covers(scopes: readonly string[], asked: string): boolean {
  if (asked === ANY_CREDENTIAL || scopes.includes(asked)) return true
  if (asked.includes('|')) return asked.split('|').some((one) => covers(scopes, one))
  const [area, verb] = asked.split(':')
  if (verb === undefined) return false
  if (scopes.includes('*:*')) return true
  return verb === 'read' && (scopes.includes(`${area}:write`) || scopes.includes('*:read'))
}

/** What is left of a key's scopes under its creator's role of today: demotion narrows a key, it never widens one. */
export function narrow(scopes: readonly string[], role: Role): string[] {
  const granted = scopesOfRole[role]
  const kept = scopes.flatMap((scope): readonly string[] => {
    if (covers(granted, scope)) return [scope]
    if (scope === '*:*') return granted
    if (scope === '*:read') return granted.map((one) => one.replace(/:(write|\*)$/, ':read'))
    const read = scope.replace(/:write$/, ':read')
    return covers(granted, read) ? [read] : []
  })
  return [...new Set(kept)]
}

type Holder = { kind: string; role?: Role | undefined; scopes: readonly string[] }

/**
 * The highest role that a caller may have others become; undefined for none. A key does not make an owner, and gives no
 * role that can do more than the key itself.
 */
export function reachOf({ kind, role, scopes }: Holder): Role | undefined {
  if (kind === 'user') return role
  return roles.findLast(
    (one) =>
      one !== 'owner' && reaches(role ?? 'admin', one) && scopesOfRole[one].every((scope) => covers(scopes, scope)),
  )
}
