/** Passwords and tokens that the local stack made for itself. */
export type StackSecrets = {
  adminPassword: string
  ownerPassword: string
  appPassword: string
  systemPassword: string
  redisToken: string
}

type RoleNames = { app: string; owner: string; system: string; admin: string | undefined }

export type PostgresPlan =
  | { kind: 'embedded'; users: Record<string, string>; names: RoleNames }
  | { kind: 'server'; upstream: string; host: string; users: Record<string, string>; names: RoleNames }
  | {
      kind: 'remote'
      host: string
      urls: {
        databaseUrl: string
        ownerUrl: string
        systemUrl: string
        adminUrl: string | undefined
        proxyUrl: string | undefined
      }
    }

export type RedisPlan =
  | { kind: 'embedded' }
  | { kind: 'server'; upstream: string; host: string }
  | { kind: 'remote'; url: string; token: string }

type Variables = Readonly<Record<string, string>>

const ownRoles = { app: 'helix_app', owner: 'helix_owner', system: 'helix_system' }

/**
 * Which Postgres: embedded unless DATABASE_URL names one; Neon (or a bridge of the user's, NEON_PROXY_URL) is spoken to
 * directly, anything else through a bridge.
 * @throws Error with one sentence when URLs are missing or malformed
 */
export function planPostgres(variables: Variables, secrets: StackSecrets): PostgresPlan {
  const { DATABASE_URL: databaseUrl, NEON_PROXY_URL: proxyUrl } = variables
  if (databaseUrl === undefined) {
    return {
      kind: 'embedded',
      users: { postgres: secrets.adminPassword, ...ownUsers(secrets) },
      names: { ...ownRoles, admin: 'postgres' },
    }
  }
  const url = postgresUrl('DATABASE_URL', databaseUrl)
  const isRemote = proxyUrl !== undefined || /(^|\.)neon\.(tech|build)$/.test(url.hostname)
  return isRemote ? remotePlan(url, variables) : serverPlan(url, variables, secrets)
}

function remotePlan(url: URL, variables: Variables): PostgresPlan {
  const { DATABASE_OWNER_URL: ownerUrl, DATABASE_SYSTEM_URL: systemUrl } = variables
  if (ownerUrl === undefined || systemUrl === undefined) {
    throw new Error(
      'With DATABASE_URL at Neon, DATABASE_OWNER_URL and DATABASE_SYSTEM_URL are needed too, and DATABASE_ADMIN_URL ' +
        'the first time (see docs/deploy.md); without DATABASE_URL an embedded Postgres is used.',
    )
  }
  const adminUrl = variables.DATABASE_ADMIN_URL
  const urls = { databaseUrl: url.href, ownerUrl, systemUrl, adminUrl, proxyUrl: variables.NEON_PROXY_URL }
  return { kind: 'remote', host: url.hostname, urls }
}

/** With all three roles named they are used; otherwise DATABASE_URL's user is taken for one who may make them. */
function serverPlan(url: URL, variables: Variables, secrets: StackSecrets): PostgresPlan {
  const given = Object.entries({
    app: 'DATABASE_URL',
    owner: 'DATABASE_OWNER_URL',
    system: 'DATABASE_SYSTEM_URL',
    admin: 'DATABASE_ADMIN_URL',
  }).flatMap(([role, name]) => {
    const text = variables[name]
    return text === undefined ? [] : [{ role, ...credentials(postgresUrl(name, text)) }]
  })
  const nameOf = (role: string) => given.find((entry) => entry.role === role)?.user
  const server = { kind: 'server', upstream: withoutCredentials(url), host: url.host } as const
  const [app, owner, system] = [nameOf('app'), nameOf('owner'), nameOf('system')]
  if (app !== undefined && owner !== undefined && system !== undefined) {
    const users = Object.fromEntries(given.map(({ user, password }) => [user, password]))
    return { ...server, users, names: { app, owner, system, admin: nameOf('admin') } }
  }
  const admin = credentials(url)
  return {
    ...server,
    users: { ...ownUsers(secrets), [admin.user]: admin.password },
    names: { ...ownRoles, admin: admin.user },
  }
}

const ownUsers = (secrets: StackSecrets): Record<string, string> => ({
  [ownRoles.owner]: secrets.ownerPassword,
  [ownRoles.app]: secrets.appPassword,
  [ownRoles.system]: secrets.systemPassword,
})

function postgresUrl(name: string, text: string): URL {
  const url = URL.parse(text)
  if (url && /^postgres(ql)?:$/.test(url.protocol) && url.hostname !== '') return url
  throw new Error(`${name} must look like postgres://user:password@host:5432/database.`)
}

const credentials = (url: URL) => ({
  user: decodeURIComponent(url.username),
  password: decodeURIComponent(url.password),
})

function withoutCredentials(url: URL): string {
  const bare = new URL(url)
  bare.username = ''
  bare.password = ''
  return bare.href
}

/**
 * Which Redis: Upstash when its URL is set, a bridge before REDIS_URL, else the embedded engine.
 * @throws Error with one sentence when the token is missing or the URL malformed
 */
export function planRedis(variables: Variables): RedisPlan {
  const { UPSTASH_REDIS_REST_URL: url, UPSTASH_REDIS_REST_TOKEN: token, REDIS_URL: upstream } = variables
  if (url !== undefined) {
    if (!/^https?:$/.test(URL.parse(url)?.protocol ?? '')) {
      throw new Error('UPSTASH_REDIS_REST_URL must be an http or https URL.')
    }
    if (token === undefined)
      throw new Error('UPSTASH_REDIS_REST_URL is set, so UPSTASH_REDIS_REST_TOKEN is needed too.')
    return { kind: 'remote', url, token }
  }
  if (upstream === undefined) return { kind: 'embedded' }
  const parsed = URL.parse(upstream)
  if (!/^rediss?:$/.test(parsed?.protocol ?? '')) throw new Error('REDIS_URL must look like redis://host:6379.')
  return { kind: 'server', upstream, host: parsed?.host ?? '' }
}
