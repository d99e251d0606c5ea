import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'

export type DevOptions = {
  /** Print one line of JSON on stdout when ready, and nothing else there. */
  json: boolean
  /** Of the gateway on 127.0.0.1; 0 takes a free one. */
  port: number
  /** Forget everything of earlier runs first. */
  fresh: boolean
  /** Absolute path of the folder that keeps the state. */
  dataFolder: string
  /** Absolute path of the user's own variables; only read, and it need not be there. */
  varsFile: string
  /** Show everything that wrangler and the stores say. */
  verbose: boolean
  help: boolean
}

export const usage = `npm run dev -- [options]

  --port <number>  where the gateway listens on 127.0.0.1 (default 8787, 0 takes a free port)
  --json           print one line of JSON when ready, for scripts: npm run --silent dev -- --json
  --fresh          forget everything of earlier runs first
  --data <folder>  where the state is kept (default .data)
  --vars <file>    your own variables (default .dev.vars)
  --verbose        show everything that wrangler and the stores say
  --help           this text`

const DEFAULT_PORT = 8787
const MAX_PORT = 65_535
const root = join(import.meta.dirname, '../..')

/** @throws Error with one sentence for anything that is not an option. */
export function readOptions(args: readonly string[]): DevOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      json: { type: 'boolean', default: false },
      port: { type: 'string', default: String(DEFAULT_PORT) },
      fresh: { type: 'boolean', default: false },
      data: { type: 'string', default: join(root, '.data') },
      vars: { type: 'string', default: join(root, '.dev.vars') },
      verbose: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const { json, fresh, verbose, help } = values
  const paths = { dataFolder: resolve(values.data), varsFile: resolve(values.vars) }
  return { json, fresh, verbose, help, port: readPort(values.port), ...paths }
}

function readPort(text: string): number {
  const port = Number(text)
  if (/^\d+$/.test(text) && port <= MAX_PORT) return port
  throw new Error(`--port takes a number from 0 to ${MAX_PORT}, not "${text}".`)
}
