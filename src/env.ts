import * as z from 'zod'
import type { Settings, VendorSettings } from './core/settings.ts'

/** Vendors whose `<NAME>_API_KEY` and `<NAME>_BASE_URL` are read, by their name in the catalog. */
export const vendorNames = [
  'anthropic',
  'openai',
  'deepseek',
  'gemini',
  'mistral',
  'qwen',
  'zai',
  'groq',
  'together',
  'xai',
  'openrouter',
] as const

const httpUrl = z.string().refine((text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol), {
  message: 'must be an http or https URL',
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
const secret = z.string().min(32, 'must be at least 32 characters')
/** Whom a mail is from where nobody gets it for real. */
const LOCAL_SENDER = 'Helix <no-reply@localhost>'
const list = z.string().transform((text) =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter(Boolean),
)

const VendorVariables = z.object(
  Object.fromEntries(
    vendorNames.flatMap((name) => [
      [`${name.toUpperCase()}_API_KEY`, credential.optional()],
      [`${name.toUpperCase()}_BASE_URL`, httpUrl.optional()],
    ]),
  ),
)

const Variables = z.object({
  ENVIRONMENT: z.enum(['development', 'test', 'staging', 'production']).default('development'),
  LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
  HELIX_VERSION: z.string().default('0.1.0'),
  DATABASE_URL: z.string().regex(/^postgres(ql)?:\/\//, 'must be a postgres:// URL'),
  NEON_PROXY_URL: httpUrl.optional(),
  UPSTASH_REDIS_REST_URL: httpUrl,
  UPSTASH_REDIS_REST_TOKEN: credential,
  KEY_PEPPER: secret,
  OLLAMA_BASE_URL: httpUrl.optional(),
  NODE_TOKEN: credential.optional(),
  METRICS_TOKEN: z.string().min(16, 'must be at least 16 characters').optional(),
  MAIL_URL: httpUrl.optional(),
  MAIL_API_KEY: credential.optional(),
  MAIL_FROM: sender.optional(),
  OUTBOUND_TEST_ORIGINS: list.default([]),
  DOH_URL: httpUrl.default('https://cloudflare-dns.com/dns-query'),
  HOLD_GRACE_MS: z.coerce.number().int().min(0).default(60_000),
})

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

/** Parses the Worker's variables. An empty string counts as absent. Throws `ConfigurationError`. */
export function parseEnv(env: Readonly<Record<string, unknown>>): Settings {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => typeof value === 'string' && value !== ''))
  const parsed = Variables.safeParse(given)
  const vendors = VendorVariables.safeParse(given)
  if (!parsed.success || !vendors.success) {
    const issues = [...(parsed.error?.issues ?? []), ...(vendors.error?.issues ?? [])]
    throw new ConfigurationError(
      issues.map(({ path, code, message }) =>
        code === 'invalid_type' && given[String(path[0])] === undefined
          ? `${path.join('.')} is missing`
          : `${path.join('.')} ${message}`,
      ),
    )
  }
  const variables = parsed.data
  const testing = variables.ENVIRONMENT === 'development' || variables.ENVIRONMENT === 'test'
  if (variables.OUTBOUND_TEST_ORIGINS.length > 0 && !testing) {
    throw new ConfigurationError(['OUTBOUND_TEST_ORIGINS is only for development and test'])
  }
  return {
    environment: variables.ENVIRONMENT,
    logLevel: variables.LOG_LEVEL,
    version: variables.HELIX_VERSION,
    databaseUrl: variables.DATABASE_URL,
    neonProxyUrl: variables.NEON_PROXY_URL,
    redisUrl: variables.UPSTASH_REDIS_REST_URL,
    redisToken: variables.UPSTASH_REDIS_REST_TOKEN,
    keyPepper: variables.KEY_PEPPER,
    vendors: vendorSettings(vendors.data),
    ollamaBaseUrl: variables.OLLAMA_BASE_URL,
    nodeToken: variables.NODE_TOKEN,
    metricsToken: variables.METRICS_TOKEN,
    mailUrl: variables.MAIL_URL,
    mailApiKey: variables.MAIL_API_KEY,
    mailFrom: variables.MAIL_FROM ?? (testing ? LOCAL_SENDER : undefined),
    outboundTestOrigins: variables.OUTBOUND_TEST_ORIGINS,
    dohUrl: variables.DOH_URL,
    holdGraceMs: variables.HOLD_GRACE_MS,
  }
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
