import { join } from 'node:path'
import { ConfigurationError, parseEnv, variableNames } from '../../src/env.ts'
import { autoModelOf } from '../../src/features/routing/auto.ts'
import { type Stores, startStores } from '../local/stack.ts'
import type { Facts } from './banner.ts'
import { readCrons, ringAt, startClock } from './clock.ts'
import { openStateFolder, type StateFolder } from './data-folder.ts'
import { prepareDatabase } from './first-key.ts'
import { chooseMail, type MailChoice } from './mail-choice.ts'
import { chooseNode, type NodeChoice } from './node-choice.ts'
import type { DevOptions } from './options.ts'
import { isFree, requireFree } from './ports.ts'
import { untilReady } from './ready.ts'
import { openForSeed } from './seed-access.ts'
import { readVariables, type Variables } from './variables.ts'
import { copyStaticFiles, writeWorkerConfigs } from './worker-config.ts'
import { startWorkers, type Workers } from './workers.ts'

const PSQL_PORT = 5444

export type RunTools = {
  log: (line: string) => void
  /** Told about everything that has to be closed at the end, the last first. */
  onClose(close: () => Promise<void>): void
  onWorkers(workers: Workers): void
}

/** Starts everything, in order, and resolves when the gateway is ready. @throws Error with one sentence */
export async function run(options: DevOptions, tools: RunTools): Promise<Facts> {
  const startedMs = performance.now()
  const user = await readVariables(options.varsFile, process.env)
  const folder = await openStateFolder(options.dataFolder, { fresh: options.fresh })
  tools.onClose(folder.release)
  await requireFree(options.port)
  const stores = await startStores({
    variables: user,
    secrets: folder.secrets,
    folder: folder.path,
    psqlPort: options.port !== 0 && (await isFree(PSQL_PORT)) ? PSQL_PORT : 0,
    log: tools.log,
  })
  tools.onClose(stores.close)
  const node = await chooseNode({ wantedUrl: user.OLLAMA_BASE_URL, token: user.NODE_TOKEN })
  tools.onClose(node.close)
  const mail = await chooseMail({ variables: user, folder: folder.path, fixedPort: options.port !== 0, log: tools.log })
  tools.onClose(mail.close)

  const variables = workerVariables({ user, stores, node, mail, folder, port: options.port })
  const { vendors, keyPepper } = checked(variables)
  const model = node.model ?? firstVendorModel(Object.keys(vendors))
  if (model === undefined) throw new Error(noModel(node))
  const [configs] = await Promise.all([
    writeWorkerConfigs(join(folder.path, 'generated'), variables, { DATABASE_SYSTEM_URL: stores.systemUrl }),
    copyStaticFiles(),
  ])
  const { port, verbose } = options
  const workers = startWorkers({ configs, port, verbose, folder: join(folder.path, 'workers'), log: tools.log })
  tools.onClose(workers.stop)
  tools.onWorkers(workers)
  const [origin, prepared] = await Promise.all([workers.listening, prepareDatabase(stores, keyPepper, folder)])
  await untilReady(origin, workers.ended)
  tools.onClose(startClock({ crons: await readCrons(), ring: ringAt(origin), log: tools.log }))
  const { systemUrl, proxyUrl } = stores
  tools.onClose(await openForSeed(folder.path, { systemUrl, proxyUrl, keyPepper, origin }))
  return {
    origin,
    ...prepared,
    model,
    node: {
      ...node,
      speechUrl: user.NODE_SPEECH_URL ?? node.speechUrl,
      agentUrl: user.NODE_AGENT_URL ?? node.agentUrl,
    },
    vendors: Object.keys(vendors).map((name) => ({ name, model: autoModelOf(name, 'chat') })),
    mail,
    stores: stores.descriptions,
    dataFolder: folder.path,
    readyMs: Math.round(performance.now() - startedMs),
  }
}

type Sources = {
  user: Variables
  stores: Stores
  node: NodeChoice
  mail: MailChoice
  folder: StateFolder
  /** 0: not known before wrangler has chosen one. */
  port: number
}

/** The user's own variables that the Workers know, and over them what this run decides. */
function workerVariables({ user, stores, node, mail, folder, port }: Sources): Variables {
  const passed = Object.fromEntries(
    variableNames().flatMap((name) => (user[name] === undefined ? [] : [[name, user[name]]])),
  )
  return {
    ENVIRONMENT: 'development',
    KEY_PEPPER: folder.secrets.keyPepper,
    PASSWORD_PEPPER: folder.secrets.passwordPepper,
    KEK_CURRENT: folder.secrets.kek,
    REGISTRATION: 'open',
    // Mails name it, and they are to be answered here.
    ...(port === 0 ? {} : { JWT_ISSUER: `http://127.0.0.1:${port}` }),
    ...(node.speechUrl === undefined ? {} : { NODE_SPEECH_URL: node.speechUrl }),
    ...(node.agentUrl === undefined ? {} : { NODE_AGENT_URL: node.agentUrl }),
    ...passed,
    DATABASE_URL: stores.databaseUrl,
    ...(stores.proxyUrl === undefined ? {} : { NEON_PROXY_URL: stores.proxyUrl }),
    UPSTASH_REDIS_REST_URL: stores.redisUrl,
    UPSTASH_REDIS_REST_TOKEN: stores.redisToken,
    OLLAMA_BASE_URL: node.url,
    ...mail.variables,
  }
}

/** The same check as in the Workers, before anything depends on it. */
function checked(variables: Variables) {
  try {
    return parseEnv(variables)
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error
    throw new Error(`Set these right in the environment or in .dev.vars: ${error.problems.join('; ')}.`)
  }
}

const firstVendorModel = (vendors: readonly string[]): string | undefined =>
  vendors.map((name) => autoModelOf(name, 'chat')).find((model) => model !== undefined)

const noModel = (node: NodeChoice): string =>
  `The Ollama at ${node.url} has no model that can chat, and no vendor has a key: run "ollama pull llama3.2:3b", or set OPENAI_API_KEY.`
