import { parentPort, workerData } from 'node:worker_threads'
import { PGlite } from '@electric-sql/pglite'
import { vector } from '@electric-sql/pglite-pgvector'
import * as z from 'zod'
import type { EngineReply, EngineRequest } from './engine-messages.ts'
import { backendMessages, simpleQuery, startupMessage } from './wire.ts'

/** The thread that holds the database: it runs what it is sent, one request after the other, and knows no clients. */

const startSchema = z.object({ dataDir: z.string().optional(), program: z.instanceof(WebAssembly.Module) })

async function boot(port: NonNullable<typeof parentPort>): Promise<void> {
  const { dataDir, program } = startSchema.parse(workerData)
  const database = await PGlite.create({
    dataDir: dataDir ?? 'memory://',
    extensions: { vector },
    pgliteWasmModule: program,
    // The default of 128 MB is taken from the heap at start; a development database does not need it.
    postgresqlconf: ['shared_buffers=16MB'],
  })
  const startup = await database.execProtocolRaw(startupMessage({ user: 'postgres', database: 'postgres' }))
  let last = Promise.resolve()
  port.on('message', (request: EngineRequest) => {
    last = last.then(async () => {
      if (request.type === 'run') return reply(await run(database, request))
      await close(database)
      reply({ type: 'closed' })
      port.close()
    })
  })
  reply({ type: 'ready', startup: startup.slice() })

  function reply(message: EngineReply): void {
    port.postMessage(message, message.type === 'result' ? [message.bytes.buffer] : [])
  }
}

async function run(database: PGlite, request: EngineRequest & { type: 'run' }): Promise<EngineReply> {
  if (request.before) {
    const answer = await database.execProtocolRaw(request.before)
    const failed = [...backendMessages(Buffer.from(answer))].some((message) => message.type === 'E')
    if (failed) return { type: 'result', bytes: answer.slice(), refused: true }
  }
  const answer = await database.execProtocolRaw(request.cycle)
  // A slice owns its memory and can be moved to the other thread; the answer may be a window on a larger buffer.
  return { type: 'result', bytes: answer.slice(), refused: false }
}

async function close(database: PGlite): Promise<void> {
  await database.execProtocolRaw(simpleQuery('rollback'))
  await database.execProtocolRaw(simpleQuery('set session authorization postgres'))
  await database.execProtocolRaw(simpleQuery('checkpoint'))
  await database.close()
}

if (parentPort) {
  const port = parentPort
  await boot(port).catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error)
    port.postMessage({ type: 'unusable', reason } satisfies EngineReply)
    port.close()
  })
}
