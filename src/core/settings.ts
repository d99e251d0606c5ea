export type VendorSettings = { apiKey: string; baseUrl: string | undefined }

/** What the ledger's Worker needs of it: no secret that it does not use. */
export type LedgerSettings = Pick<
  Settings,
  'logLevel' | 'databaseUrl' | 'neonProxyUrl' | 'redisUrl' | 'redisToken' | 'holdGraceMs'
>

/** What the watch over the providers needs: where they are, and nothing of anybody's data. */
export type HealthSettings = Pick<Settings, 'logLevel' | 'vendors'> &
  SharedNodeSettings & {
    /** Between two looks at each provider. */
    healthIntervalMs: number
  }

/** What the watch over a node needs: how nodes are reached, and the keys that their credentials are opened with. */
export type NodeWatchSettings = LedgerSettings &
  SharedNodeSettings &
  JobSettings &
  Pick<Settings, 'issuer' | 'outboundTestOrigins' | 'dohUrl'> & {
    /** Between two looks at a node. */
    healthIntervalMs: number
  }

/** The node that the environment names, and how it is reached. */
export type SharedNodeSettings = Pick<
  Settings,
  | 'ollamaBaseUrl'
  | 'ollamaConcurrency'
  | 'nodeToken'
  | 'nodeSpeechUrl'
  | 'nodeAgentUrl'
  | 'nodeAccessId'
  | 'nodeAccessSecret'
>

/** What a job may know of the environment: the keys that sealed values are opened with, and nothing that admits anybody. */
export type JobSettings = Pick<Settings, 'kekCurrent' | 'kekPrevious'>

/** What the Worker of the jobs needs to run them. */
export type JobsSettings = LedgerSettings & JobSettings & { systemDatabaseUrl: string }

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
  passwordPepper: string
  /** 32 bytes in base64: what every data key is wrapped with. */
  kekCurrent: string
  /** The one before, while it is being replaced. */
  kekPrevious: string | undefined
  /** `iss` of our tokens and the origin that mails name: `https://gateway.example.com`. */
  issuer: string
  /** Whether anyone may make an account and an organisation of their own. */
  registration: 'open' | 'closed'
  /** By catalog name: `openai`, `deepseek`, … */
  vendors: Readonly<Record<string, VendorSettings>>
  ollamaBaseUrl: string | undefined
  /** Calls that the node takes at once. */
  ollamaConcurrency: number
  nodeToken: string | undefined
  /** Of an OpenAI-compatible speech server beside the node's Ollama. */
  nodeSpeechUrl: string | undefined
  /** Of the node's agent. */
  nodeAgentUrl: string | undefined
  /** The two halves of a service token of Cloudflare Access; both or neither, and no `nodeToken` beside them. */
  nodeAccessId: string | undefined
  nodeAccessSecret: string | undefined
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
