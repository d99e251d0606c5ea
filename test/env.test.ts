import { describe, expect, it } from 'vitest'
import {
  ConfigurationError,
  parseEnv,
  parseJobsEnv,
  parseLedgerEnv,
  parseNodeWatchEnv,
  vendorNames,
} from '../src/env.ts'

const complete = {
  DATABASE_URL: 'postgresql://helix_app:secret@db.example/helix',
  UPSTASH_REDIS_REST_URL: 'https://redis.example',
  UPSTASH_REDIS_REST_TOKEN: 'token',
  KEY_PEPPER: 'a pepper of thirty-two characters',
  PASSWORD_PEPPER: 'one more pepper of thirty-two characters',
  KEK_CURRENT: 'dGhpcnR5LXR3byBieXRlcywgbm90IG9uZSBtb3JlISE=',
}

function problemsOf(env: Record<string, unknown>): readonly string[] {
  try {
    parseEnv(env)
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems
    throw error
  }
  return []
}

describe('the environment', () => {
  it('is usable with the required variables alone', () => {
    expect(parseEnv(complete)).toMatchObject({
      environment: 'development',
      logLevel: 'info',
      vendors: {},
      holdGraceMs: 60_000,
    })
  })

  it('names every variable that is missing', () => {
    expect(problemsOf({})).toEqual([
      'DATABASE_URL is missing',
      'UPSTASH_REDIS_REST_URL is missing',
      'UPSTASH_REDIS_REST_TOKEN is missing',
      'KEY_PEPPER is missing',
      'PASSWORD_PEPPER is missing',
      'KEK_CURRENT is missing',
    ])
  })

  it('takes an empty variable for an absent one', () => {
    expect(problemsOf({ ...complete, KEY_PEPPER: '' })).toEqual(['KEY_PEPPER is missing'])
    expect(parseEnv({ ...complete, OPENAI_API_KEY: '', METRICS_TOKEN: '' })).toMatchObject({
      vendors: {},
      metricsToken: undefined,
    })
  })

  it.each([
    ['KEY_PEPPER', 'short but varied 123', 'must be at least 32 characters'],
    [
      'PASSWORD_PEPPER',
      'change-me-change-me-change-me-change-me',
      'looks like a sample: make one with openssl rand -base64 48',
    ],
    ['KEY_PEPPER', 'a'.repeat(40), 'looks like a sample: make one with openssl rand -base64 48'],
    ['KEK_CURRENT', 'dG9vIHNob3J0', 'must be 32 bytes in base64: make one with openssl rand -base64 32'],
    ['KEK_PREVIOUS', `${'A'.repeat(43)}=`, 'looks like a sample: make one with openssl rand -base64 32'],
    ['JWT_ISSUER', 'gateway', 'must be an http or https URL'],
    ['DATABASE_URL', 'mysql://db', 'must be a postgres:// URL'],
    ['UPSTASH_REDIS_REST_URL', 'redis://db', 'must be an http or https URL'],
    ['OLLAMA_BASE_URL', 'node.example', 'must be an http or https URL'],
    ['OPENAI_BASE_URL', 'not a url', 'must be an http or https URL'],
    ['METRICS_TOKEN', 'short', 'must be at least 16 characters'],
    ['OPENAI_API_KEY', 'sk-“quoted”', 'has characters that no header can carry'],
    ['NODE_TOKEN', 'two words', 'has characters that no header can carry'],
    ['NODE_ACCESS_SECRET', 'two words', 'has characters that no header can carry'],
    ['NODE_SPEECH_URL', 'https://node.test/?a=b', 'may not have a user, a query or a fragment'],
    ['OLLAMA_BASE_URL', 'https://me@node.test', 'may not have a user, a query or a fragment'],
    ['NODE_ACCESS_ID', 'half-of-a-token', 'and NODE_ACCESS_SECRET are the two halves of one token: set both'],
    ['MAIL_URL', 'smtp://mail.example', 'must be an http or https URL'],
    ['MAIL_API_KEY', 'two words', 'has characters that no header can carry'],
    ['MAIL_FROM', 'Helix', 'must be an address or Name <address>'],
    ['MAIL_FROM', 'Helix <a@b.example>\r\nBcc: <c@d.example>', 'must be an address or Name <address>'],
  ])('says what is wrong with %s and never repeats its value', (name, value, rule) => {
    const problems = problemsOf({ ...complete, [name]: value })
    expect(problems).toEqual([`${name} ${rule}`])
    expect(problems.join()).not.toContain(value)
  })

  it.each(vendorNames)('knows %s by its key and its base URL', (name) => {
    const prefix = name.toUpperCase()
    const { vendors } = parseEnv({
      ...complete,
      [`${prefix}_API_KEY`]: 'k',
      [`${prefix}_BASE_URL`]: 'https://v.example/v1',
    })
    expect(vendors).toEqual({ [name]: { apiKey: 'k', baseUrl: 'https://v.example/v1' } })
  })

  it.each([
    ['development', undefined, 'Helix <no-reply@localhost>'],
    ['test', undefined, 'Helix <no-reply@localhost>'],
    ['staging', undefined, undefined],
    ['production', undefined, undefined],
    ['production', 'no-reply@helix.example', 'no-reply@helix.example'],
    ['development', 'Helix & Co. <a@b.example>', 'Helix & Co. <a@b.example>'],
  ])('in %s with MAIL_FROM %s sends mails from %s', (environment, given, mailFrom) => {
    const env = { ...complete, ENVIRONMENT: environment, JWT_ISSUER: 'https://helix.example', MAIL_FROM: given }
    expect(parseEnv(env)).toMatchObject({ mailFrom, mailUrl: undefined, mailApiKey: undefined })
  })

  it.each(['staging', 'production'])('does not let test origins through the guard in %s', (environment) => {
    const outward = { ENVIRONMENT: environment, JWT_ISSUER: 'https://gateway.example.com' }
    const env = { ...complete, ...outward, OUTBOUND_TEST_ORIGINS: 'http://127.0.0.1:1' }
    expect(problemsOf(env)).toEqual(['OUTBOUND_TEST_ORIGINS is only for development and test'])
  })

  it.each(['staging', 'production'])('wants to know in %s where its tokens come from', (environment) => {
    expect(problemsOf({ ...complete, ENVIRONMENT: environment })).toEqual(['JWT_ISSUER is missing'])
    const issuer = 'https://gateway.example.com/'
    expect(parseEnv({ ...complete, ENVIRONMENT: environment, JWT_ISSUER: issuer }).issuer).toBe(issuer.slice(0, -1))
  })

  it('names secrets that are the same as another', () => {
    const problems = problemsOf({
      ...complete,
      PASSWORD_PEPPER: complete.KEY_PEPPER,
      KEK_PREVIOUS: complete.KEK_CURRENT,
    })
    expect(problems).toEqual([
      'PASSWORD_PEPPER is the same as KEY_PEPPER: each secret needs a value of its own',
      'KEK_PREVIOUS is the same as KEK_CURRENT: each secret needs a value of its own',
    ])
  })

  it('asks the ledger for nothing but its stores', () => {
    const { DATABASE_URL, UPSTASH_REDIS_REST_URL, UPSTASH_REDIS_REST_TOKEN } = complete
    expect(parseLedgerEnv({ DATABASE_URL, UPSTASH_REDIS_REST_URL, UPSTASH_REDIS_REST_TOKEN })).toMatchObject({
      databaseUrl: DATABASE_URL,
      holdGraceMs: 60_000,
    })
    expect(() => parseLedgerEnv({ DATABASE_URL })).toThrow('UPSTASH_REDIS_REST_URL is missing')
  })

  it('asks the jobs for what opens sealed values and crosses organisations, and for no pepper', () => {
    const given = { ...complete, KEY_PEPPER: '', PASSWORD_PEPPER: '' }
    const DATABASE_SYSTEM_URL = 'postgresql://helix_system:secret@db.example/helix'
    expect(parseJobsEnv({ ...given, DATABASE_SYSTEM_URL })).toMatchObject({
      systemDatabaseUrl: DATABASE_SYSTEM_URL,
      kekCurrent: complete.KEK_CURRENT,
      kekPrevious: undefined,
    })
    expect(() => parseJobsEnv(given)).toThrow('DATABASE_SYSTEM_URL is missing')
    expect(JSON.stringify(parseEnv({ ...complete, DATABASE_SYSTEM_URL }))).not.toContain('helix_system')
  })

  it('reads nothing but strings: bindings are not variables', () => {
    expect(parseEnv({ ...complete, LEDGER: {}, OPENAI_API_KEY: {} }).vendors).toEqual({})
  })
})

describe('the environment of the watch over a node', () => {
  const { KEY_PEPPER: _key, PASSWORD_PEPPER: _password, ...watching } = complete

  it('is usable without what admits anybody, and has test origins only where tests run', () => {
    const origins = { OUTBOUND_TEST_ORIGINS: 'http://127.0.0.1:1', NODE_SPEECH_URL: 'https://speech.example' }
    expect(parseNodeWatchEnv({ ...watching, ...origins, ENVIRONMENT: 'test' })).toMatchObject({
      outboundTestOrigins: ['http://127.0.0.1:1'],
      nodeSpeechUrl: 'https://speech.example',
      healthIntervalMs: 30_000,
    })
    expect(() => parseNodeWatchEnv({ ...watching, ...origins, ENVIRONMENT: 'production' })).toThrow(
      'OUTBOUND_TEST_ORIGINS',
    )
    expect(() => parseNodeWatchEnv({ ...watching, NODE_ACCESS_ID: 'half' })).toThrow('NODE_ACCESS_SECRET')
    expect(() => parseNodeWatchEnv({})).toThrow('KEK_CURRENT is missing')
  })
})
