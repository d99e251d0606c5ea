import { asSocket, type Backend } from './backend.ts'
import { type DataFolder, openDataFolder } from './data-folder.ts'
import { type Engine, startEngine } from './engine.ts'
import { createMultiplexer, type Multiplexer } from './multiplexer.ts'

export type EmbeddedOptions = {
  dataDir: string | undefined
  users: Readonly<Record<string, string>>
  statementTimeoutMs: number
  idleInTransactionMs: number
  log: (message: string) => void
}

/** The Postgres major inside the installed PGlite; checked against the running one at each start. */
const POSTGRES_MAJOR = 18
const MAX_SESSIONS = 500

/**
 * Starts PGlite on a folder (or in memory) behind a multiplexer.
 * @throws Error with one clear sentence when the folder is in use, foreign or broken.
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<Backend> {
  const folder = options.dataDir === undefined ? undefined : await openDataFolder(options.dataDir, POSTGRES_MAJOR)
  try {
    return await startOn(folder, options)
  } catch (error) {
    await folder?.release()
    throw error
  }
}

async function startOn(folder: DataFolder | undefined, options: EmbeddedOptions): Promise<Backend> {
  const { statementTimeoutMs, idleInTransactionMs, users, log } = options
  let multiplexer: Multiplexer | undefined
  const onLoss = (reason: string) => multiplexer?.loseAll(reason)
  const engine = await startEngine({ dataDir: folder?.path, statementTimeoutMs, log, onLoss })
  await checkMajor(engine)
  await folder?.recordVersion()
  multiplexer = createMultiplexer({ engine, users, idleInTransactionMs, maxSessions: MAX_SESSIONS })
  const { openSession, close } = multiplexer
  return {
    kind: 'embedded',
    openSession,
    clientConfig: ({ user, password }) => ({ user, password, stream: () => asSocket(openSession()) }),
    isReady: async () => engine.isReady(),
    async close() {
      await close()
      await engine.close()
      await folder?.release()
    },
  }
}

async function checkMajor(engine: Engine): Promise<void> {
  const version = engine.parameters.get('server_version') ?? 'unknown'
  if (Number.parseInt(version, 10) === POSTGRES_MAJOR) return
  await engine.close()
  throw new Error(`The installed PGlite is Postgres ${version}, expected ${POSTGRES_MAJOR}: update POSTGRES_MAJOR.`)
}
