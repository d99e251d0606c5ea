export type VendorSettings = { apiKey: string; baseUrl: string | undefined }

/** The environment, parsed and checked once (`env.ts`); nothing else reads a variable. */
export type Settings = {
  environment: 'development' | 'test' | 'staging' | 'production'
  logLevel: 'debug' | 'info' | 'warn' | 'error'
  version: string
  databaseUrl: string
  /** Set when the Neon driver must talk to a bridge instead of Neon. */
  neonProxyUrl: string | undefined
  redisUrl: string
  redisToken: string
  keyPepper: string
  /** By catalog name: `openai`, `deepseek`, … */
  vendors: Readonly<Record<string, VendorSettings>>
  ollamaBaseUrl: string | undefined
  nodeToken: string | undefined
  metricsToken: string | undefined
  /** Where mails are posted; without it none can be sent. */
  mailUrl: string | undefined
  mailApiKey: string | undefined
  /** `Name <address>` or an address. */
  mailFrom: string | undefined
  outboundTestOrigins: readonly string[]
  dohUrl: string
  /** How long after its deadline a hold waits before it becomes an `unknown` row. */
  holdGraceMs: number
}
