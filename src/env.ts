import * as z from 'zod'
import type {
  HealthSettings,
  JobsSettings,
  LedgerSettings,
  NodeWatchSettings,
  Settings,
  SharedNodeSettings,
  VendorSettings,
} from './core/settings.ts'
import { vendorCatalog } from './core/vendors.ts'

/** Vendors whose `<NAME>_API_KEY` and `<NAME>_BASE_URL` are read. */
export const vendorNames: readonly string[] = vendorCatalog.map(({ name }) => name)

const httpUrl = z.string().refine((text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol), {
  message: 'must be an http or https URL',
})
/** The path of an endpoint is put behind it. */
const nodeUrl = httpUrl.refine((text) => !/[?#@\\]/.test(text), {
  message: 'may not have a user, a query or a fragment',
})
/** A credential that travels in a header: what cannot be sent is found out here, not by the first call. */
const credential = z
  .string()
  .trim()
  .regex(/^[\x21-\x7e]+$/, 'has characters that no header can carry')
/** `Name <address>` or an address; what is before and after the @ is the provider's to judge. */
const sender = z
  .string()
  .trim()
  .regex(/^(?:[^<>@\r\n]+ <[^<>@\s]+@[^<>@\s]+>|[^<>@\s]+@[^<>@\s]+)$/, 'must be an address or Name <address>')
const secret = z
  .string()
  .min(32, 'must be at least 32 characters')
  .refine((text) => !isSample(text), 'looks like a sample: make one with openssl rand -base64 48')
const kek = z
  .string()
  .refine((text) => isBase64Of32Bytes(text), 'must be 32 bytes in base64: make one with openssl rand -base64 32')
  .refine((text) => !isSample(text), 'looks like a sample: make one with openssl rand -base64 32')
/** Whom a mail is from where nobody gets it for real. */
const LOCAL_SENDER = 'Helix <no-reply@localhost>'
const list = z.string().transform((text) =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter(Boolean),
)

const SAMPLE_WORDS = /change.?me|replace|example|sample|placeholder|your[-_ ]|insert|x{4}|\.{3}|12345|abcde/i
const MIN_DIFFERENT_CHARACTERS = 10

/** What stands in a guide or was typed to get past the check, and is known to everyone. */
const isSample = (text: string): boolean => SAMPLE_WORDS.test(text) || new Set(text).size < MIN_DIFFERENT_CHARACTERS

const isBase64Of32Bytes = (text: string): boolean =>
  /^[A-Za-z0-9+/]{43}=$/.test(text) && Buffer.from(text, 'base64').length === 32

const VendorVariables = z.object(
  Object.fromEntries(
    vendorNames.flatMap((name) => [
      [`${name.toUpperCase()}_API_KEY`, credential.optional()],
      [`${name.toUpperCase()}_BASE_URL`, httpUrl.optional()],
    ]),
  ),
)

const postgresUrl = z.string().regex(/^postgres(ql)?:\/\//, 'must be a postgres:// URL')

const Variables = z.object({
  ENVIRONMENT: z.enum(['development', 'test', 'staging', 'production']).default('development'),
  LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
  HELIX_VERSION: z.string().default('0.1.0'),
  DATABASE_URL: postgresUrl,
  NEON_PROXY_URL: httpUrl.optional(),
  UPSTASH_REDIS_REST_URL: httpUrl,
  UPSTASH_REDIS_REST_TOKEN: credential,
  KEY_PEPPER: secret,
  PASSWORD_PEPPER: secret,
  KEK_CURRENT: kek,
  KEK_PREVIOUS: kek.optional(),
  JWT_ISSUER: httpUrl.transform((text) => text.replace(/\/+$/, '')).optional(),
  REGISTRATION: z.enum(['open', 'closed']).default('closed'),
  OLLAMA_BASE_URL: nodeUrl.optional(),
  OLLAMA_CONCURRENCY: z.coerce.number().int().min(1).max(1000).default(4),
  NODE_TOKEN: credential.optional(),
  NODE_SPEECH_URL: nodeUrl.optional(),
  NODE_AGENT_URL: nodeUrl.optional(),
  NODE_ACCESS_ID: credential.optional(),
  NODE_ACCESS_SECRET: credential.optional(),
  METRICS_TOKEN: z.string().min(16, 'must be at least 16 characters').optional(),
  MAIL_URL: httpUrl.optional(),
  MAIL_API_KEY: credential.optional(),
  MAIL_FROM: sender.optional(),
  OUTBOUND_TEST_ORIGINS: list.default([]),
  DOH_URL: httpUrl.default('https://cloudflare-dns.com/dns-query'),
  HOLD_GRACE_MS: z.coerce.number().int().min(0).default(60_000),
  HEALTH_INTERVAL_MS: z.coerce.number().int().min(100).max(120_000).default(30_000),
})

/** Secrets of which no two may be the same: one that leaks must not open what another protects. */
const SECRETS = ['KEY_PEPPER', 'PASSWORD_PEPPER', 'KEK_CURRENT', 'KEK_PREVIOUS', 'METRICS_TOKEN'] as const
/** Where tokens come from when nobody says: good enough for one's own machine, wrong anywhere else. */
const LOCAL_ISSUER = 'http://127.0.0.1:8787'

/** Every variable that `parseEnv` reads. */
export const variableNames = (): string[] => [...Object.keys(Variables.shape), ...Object.keys(VendorVariables.shape)]

/** Thrown with the names and rules of every wrong variable, never with a value. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError'
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(`The environment is not usable: ${problems.join('; ')}`)
    this.problems = problems
  }
}

const givenOf = (env: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(env).filter(([, value]) => typeof value === 'string' && value !== ''))

function wrongVariables(issues: readonly z.core.$ZodIssue[], given: Readonly<Record<string, unknown>>) {
  return new ConfigurationError(
    issues.map(({ path, code, message }) =>
      code === 'invalid_type' && given[String(path[0])] === undefined
        ? `${path.join('.')} is missing`
        : `${path.join('.')} ${message}`,
    ),
  )
}

const LedgerVariables = Variables.pick({
  LOG_LEVEL: true,
  DATABASE_URL: true,
  NEON_PROXY_URL: true,
  UPSTASH_REDIS_REST_URL: true,
  UPSTASH_REDIS_REST_TOKEN: true,
  HOLD_GRACE_MS: true,
})

/** Parses what the ledger's Worker needs. Throws `ConfigurationError`. */
export function parseLedgerEnv(env: Readonly<Record<string, unknown>>): LedgerSettings {
  const given = givenOf(env)
  const parsed = LedgerVariables.safeParse(given)
  if (!parsed.success) throw wrongVariables(parsed.error.issues, given)
  return storeSettings(parsed.data)
}

const JobsVariables = LedgerVariables.extend({
  DATABASE_SYSTEM_URL: postgresUrl,
  KEK_CURRENT: kek,
  KEK_PREVIOUS: kek.optional(),
})

/**
 * Parses what scheduled work needs, beyond what the ledger does: without it there are no jobs, and money goes on.
 * Throws `ConfigurationError`.
 */
export function parseJobsEnv(env: Readonly<Record<string, unknown>>): JobsSettings {
  const given = givenOf(env)
  const parsed = JobsVariables.safeParse(given)
  if (!parsed.success) throw wrongVariables(parsed.error.issues, given)
  return {
    ...storeSettings(parsed.data),
    systemDatabaseUrl: parsed.data.DATABASE_SYSTEM_URL,
    kekCurrent: parsed.data.KEK_CURRENT,
    kekPrevious: parsed.data.KEK_PREVIOUS,
  }
}

const HealthVariables = Variables.pick({
  LOG_LEVEL: true,
  OLLAMA_BASE_URL: true,
  OLLAMA_CONCURRENCY: true,
  NODE_TOKEN: true,
  NODE_SPEECH_URL: true,
  NODE_AGENT_URL: true,
  NODE_ACCESS_ID: true,
  NODE_ACCESS_SECRET: true,
  HEALTH_INTERVAL_MS: true,
})

/** Parses what the watch over the providers needs. Throws `ConfigurationError`. */
export function parseHealthEnv(env: Readonly<Record<string, unknown>>): HealthSettings {
  const given = givenOf(env)
  const parsed = HealthVariables.safeParse(given)
  const vendors = VendorVariables.safeParse(given)
  if (!parsed.success || !vendors.success) {
    throw wrongVariables([...(parsed.error?.issues ?? []), ...(vendors.error?.issues ?? [])], given)
  }
  const problems = wrongNode(parsed.data)
  if (problems.length > 0) throw new ConfigurationError(problems)
  const { LOG_LEVEL, HEALTH_INTERVAL_MS } = parsed.data
  return {
    logLevel: LOG_LEVEL,
    vendors: vendorSettings(vendors.data),
    ...nodeSettings(parsed.data),
    healthIntervalMs: HEALTH_INTERVAL_MS,
  }
}

const NodeWatchVariables = LedgerVariables.extend(HealthVariables.shape).extend(
  Variables.pick({
    ENVIRONMENT: true,
    JWT_ISSUER: true,
    KEK_CURRENT: true,
    KEK_PREVIOUS: true,
    OUTBOUND_TEST_ORIGINS: true,
    DOH_URL: true,
  }).shape,
)

/** Parses what the watch over a node needs: without it nobody looks, and places go on. Throws `ConfigurationError`. */
export function parseNodeWatchEnv(env: Readonly<Record<string, unknown>>): NodeWatchSettings {
  const given = givenOf(env)
  const parsed = NodeWatchVariables.safeParse(given)
  if (!parsed.success) throw wrongVariables(parsed.error.issues, given)
  const variables = parsed.data
  const problems = [...wrongNode(variables), ...wrongOrigins(variables)]
  if (problems.length > 0) throw new ConfigurationError(problems)
  return {
    ...storeSettings(variables),
    ...nodeSettings(variables),
    kekCurrent: variables.KEK_CURRENT,
    kekPrevious: variables.KEK_PREVIOUS,
    issuer: variables.JWT_ISSUER ?? LOCAL_ISSUER,
    outboundTestOrigins: variables.OUTBOUND_TEST_ORIGINS,
    dohUrl: variables.DOH_URL,
    healthIntervalMs: variables.HEALTH_INTERVAL_MS,
  }
}

type NodeVariables = Omit<z.output<typeof HealthVariables>, 'LOG_LEVEL' | 'HEALTH_INTERVAL_MS'>

type Origins = Pick<z.output<typeof NodeWatchVariables>, 'ENVIRONMENT' | 'OUTBOUND_TEST_ORIGINS'>

const wrongOrigins = ({ ENVIRONMENT, OUTBOUND_TEST_ORIGINS }: Origins): string[] =>
  OUTBOUND_TEST_ORIGINS.length > 0 && !isTesting(ENVIRONMENT)
    ? ['OUTBOUND_TEST_ORIGINS is only for development and test']
    : []

const isTesting = (environment: string): boolean => environment === 'development' || environment === 'test'

const nodeSettings = (variables: NodeVariables): SharedNodeSettings => ({
  ollamaBaseUrl: variables.OLLAMA_BASE_URL,
  ollamaConcurrency: variables.OLLAMA_CONCURRENCY,
  nodeToken: variables.NODE_TOKEN,
  nodeSpeechUrl: variables.NODE_SPEECH_URL,
  nodeAgentUrl: variables.NODE_AGENT_URL,
  nodeAccessId: variables.NODE_ACCESS_ID,
  nodeAccessSecret: variables.NODE_ACCESS_SECRET,
})

/** Half a service token opens nothing, and of two credentials nobody could say which one is meant. */
function wrongNode({ NODE_ACCESS_ID, NODE_ACCESS_SECRET, NODE_TOKEN }: NodeVariables): string[] {
  if ((NODE_ACCESS_ID === undefined) !== (NODE_ACCESS_SECRET === undefined)) {
    return ['NODE_ACCESS_ID and NODE_ACCESS_SECRET are the two halves of one token: set both']
  }
  return NODE_ACCESS_ID !== undefined && NODE_TOKEN !== undefined
    ? ['NODE_TOKEN is set beside NODE_ACCESS_ID: a node has one credential']
    : []
}

const storeSettings = (variables: z.output<typeof LedgerVariables>): LedgerSettings => ({
  logLevel: variables.LOG_LEVEL,
  databaseUrl: variables.DATABASE_URL,
  neonProxyUrl: variables.NEON_PROXY_URL,
  redisUrl: variables.UPSTASH_REDIS_REST_URL,
  redisToken: variables.UPSTASH_REDIS_REST_TOKEN,
  holdGraceMs: variables.HOLD_GRACE_MS,
})

/** Parses the gateway's variables. An empty string counts as absent. Throws `ConfigurationError`. */
export function parseEnv(env: Readonly<Record<string, unknown>>): Settings {
  const given = givenOf(env)
  const parsed = Variables.safeParse(given)
  const vendors = VendorVariables.safeParse(given)
  if (!parsed.success || !vendors.success) {
    throw wrongVariables([...(parsed.error?.issues ?? []), ...(vendors.error?.issues ?? [])], given)
  }
  const variables = parsed.data
  const testing = isTesting(variables.ENVIRONMENT)
  const problems = [
    ...repeatedSecrets(variables),
    ...wrongNode(variables),
    ...wrongOrigins(variables),
    ...(variables.JWT_ISSUER === undefined && !testing ? ['JWT_ISSUER is missing'] : []),
  ]
  if (problems.length > 0) throw new ConfigurationError(problems)
  return {
    ...storeSettings(variables),
    environment: variables.ENVIRONMENT,
    version: variables.HELIX_VERSION,
    keyPepper: variables.KEY_PEPPER,
    passwordPepper: variables.PASSWORD_PEPPER,
    kekCurrent: variables.KEK_CURRENT,
    kekPrevious: variables.KEK_PREVIOUS,
    issuer: variables.JWT_ISSUER ?? LOCAL_ISSUER,
    registration: variables.REGISTRATION,
    vendors: vendorSettings(vendors.data),
    ...nodeSettings(variables),
    metricsToken: variables.METRICS_TOKEN,
    mailUrl: variables.MAIL_URL,
    mailApiKey: variables.MAIL_API_KEY,
    mailFrom: variables.MAIL_FROM ?? (testing ? LOCAL_SENDER : undefined),
    outboundTestOrigins: variables.OUTBOUND_TEST_ORIGINS,
    dohUrl: variables.DOH_URL,
  }
}

function repeatedSecrets(given: Readonly<Partial<Record<(typeof SECRETS)[number], string | undefined>>>): string[] {
  return SECRETS.flatMap((name, at) => {
    const same = SECRETS.slice(0, at).find((other) => given[other] !== undefined && given[other] === given[name])
    return same === undefined ? [] : [`${name} is the same as ${same}: each secret needs a value of its own`]
  })
}

function vendorSettings(given: Readonly<Record<string, unknown>>): Record<string, VendorSettings> {
  const vendors: Record<string, VendorSettings> = {}
  for (const name of vendorNames) {
    const apiKey = given[`${name.toUpperCase()}_API_KEY`]
    const baseUrl = given[`${name.toUpperCase()}_BASE_URL`]
    if (typeof apiKey === 'string') {
      vendors[name] = { apiKey, baseUrl: typeof baseUrl === 'string' ? baseUrl : undefined }
    }
  }
  return vendors
}
