import { describe, expect, it } from 'vitest'
import { planPostgres, planRedis } from '../../../scripts/local/stack-plan.ts'

const secrets = {
  adminPassword: 'a',
  ownerPassword: 'o',
  appPassword: 'p',
  systemPassword: 's',
  redisToken: 't',
}
const ownUsers = { helix_app: 'p', helix_owner: 'o', helix_system: 's' }
const ownNames = { app: 'helix_app', owner: 'helix_owner', system: 'helix_system' }

describe('which Postgres', () => {
  it('is the embedded one unless told otherwise', () => {
    expect(planPostgres({}, secrets)).toEqual({
      kind: 'embedded',
      users: { postgres: 'a', ...ownUsers },
      names: { ...ownNames, admin: 'postgres' },
    })
  })

  it('is a server whose user makes the roles', () => {
    const plan = planPostgres({ DATABASE_URL: 'postgres://me:p%40ss@127.0.0.1:5433/mine' }, secrets)
    expect(plan).toEqual({
      kind: 'server',
      upstream: 'postgres://127.0.0.1:5433/mine',
      host: '127.0.0.1:5433',
      users: { me: 'p@ss', ...ownUsers },
      names: { ...ownNames, admin: 'me' },
    })
  })

  it('is a server with the roles that the user made', () => {
    const variables = {
      DATABASE_URL: 'postgres://app:1@db/x',
      DATABASE_OWNER_URL: 'postgres://owner:2@db/x',
      DATABASE_SYSTEM_URL: 'postgres://system:3@db/x',
    }
    expect(planPostgres(variables, secrets)).toMatchObject({
      kind: 'server',
      users: { app: '1', owner: '2', system: '3' },
      names: { app: 'app', owner: 'owner', system: 'system', admin: undefined },
    })
  })

  const neon = 'postgres://helix_app:1@ep-cool-1.eu-central-1.aws.neon.tech/neondb?sslmode=require'

  it('is Neon, without a bridge, and then every role is the own one', () => {
    const variables = {
      DATABASE_URL: neon,
      DATABASE_OWNER_URL: 'postgres://o@n/x',
      DATABASE_SYSTEM_URL: 'postgres://s@n/x',
    }
    expect(planPostgres(variables, secrets)).toMatchObject({
      kind: 'remote',
      host: 'ep-cool-1.eu-central-1.aws.neon.tech',
      urls: { databaseUrl: neon, ownerUrl: 'postgres://o@n/x', adminUrl: undefined, proxyUrl: undefined },
    })
    expect(() => planPostgres({ DATABASE_URL: neon }, secrets)).toThrow('DATABASE_OWNER_URL and DATABASE_SYSTEM_URL')
  })

  it('is not taken for Neon by a name that only looks like it', () => {
    expect(planPostgres({ DATABASE_URL: 'postgres://a:b@evil-neon.tech/x' }, secrets).kind).toBe('server')
  })

  it('is reached over a bridge of the own when there is one', () => {
    const variables = {
      DATABASE_URL: 'postgres://a:b@db/x',
      DATABASE_OWNER_URL: 'postgres://o:b@db/x',
      DATABASE_SYSTEM_URL: 'postgres://s:b@db/x',
      NEON_PROXY_URL: 'https://bridge.example',
    }
    expect(planPostgres(variables, secrets)).toMatchObject({
      kind: 'remote',
      urls: { proxyUrl: 'https://bridge.example' },
    })
  })

  it.each(['mysql://x/y', 'nonsense', 'postgres:///x'])('is never %s', (url) => {
    expect(() => planPostgres({ DATABASE_URL: url }, secrets)).toThrow('DATABASE_URL must look like postgres://')
  })
})

describe('which Redis', () => {
  it('is embedded, a server behind a bridge, or Upstash', () => {
    expect(planRedis({})).toEqual({ kind: 'embedded' })
    expect(planRedis({ REDIS_URL: 'redis://:p@127.0.0.1:6379' })).toEqual({
      kind: 'server',
      upstream: 'redis://:p@127.0.0.1:6379',
      host: '127.0.0.1:6379',
    })
    const upstash = { UPSTASH_REDIS_REST_URL: 'https://a.upstash.io', UPSTASH_REDIS_REST_TOKEN: 't' }
    expect(planRedis({ ...upstash, REDIS_URL: 'redis://x' })).toEqual({
      kind: 'remote',
      url: 'https://a.upstash.io',
      token: 't',
    })
  })

  it('needs a whole address', () => {
    expect(() => planRedis({ REDIS_URL: 'http://x' })).toThrow('REDIS_URL must look like redis://')
    expect(() => planRedis({ UPSTASH_REDIS_REST_URL: 'redis://x' })).toThrow('UPSTASH_REDIS_REST_URL must be')
    expect(() => planRedis({ UPSTASH_REDIS_REST_URL: 'https://x' })).toThrow('UPSTASH_REDIS_REST_TOKEN is needed')
  })
})
