import { describe, expect, it } from 'vitest'
import { ConfigurationError, parseEnv, vendorNames } from '../src/env.ts'

const complete = {
  DATABASE_URL: 'postgresql://helix_app:secret@db.example/helix',
  UPSTASH_REDIS_REST_URL: 'https://redis.example',
  UPSTASH_REDIS_REST_TOKEN: 'token',
  KEY_PEPPER: 'a pepper of thirty-two characters',
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
    ['KEY_PEPPER', 'short', 'must be at least 32 characters'],
    ['DATABASE_URL', 'mysql://db', 'must be a postgres:// URL'],
    ['UPSTASH_REDIS_REST_URL', 'redis://db', 'must be an http or https URL'],
    ['OLLAMA_BASE_URL', 'node.example', 'must be an http or https URL'],
    ['OPENAI_BASE_URL', 'not a url', 'must be an http or https URL'],
    ['METRICS_TOKEN', 'short', 'must be at least 16 characters'],
    ['OPENAI_API_KEY', 'sk-“quoted”', 'has characters that no header can carry'],
    ['NODE_TOKEN', 'two words', 'has characters that no header can carry'],
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

  it.each(['staging', 'production'])('does not let test origins through the guard in %s', (environment) => {
    const env = { ...complete, ENVIRONMENT: environment, OUTBOUND_TEST_ORIGINS: 'http://127.0.0.1:1' }
    expect(problemsOf(env)).toEqual(['OUTBOUND_TEST_ORIGINS is only for development and test'])
  })

  it('reads nothing but strings: bindings are not variables', () => {
    expect(parseEnv({ ...complete, LEDGER: {}, OPENAI_API_KEY: {} }).vendors).toEqual({})
  })
})
