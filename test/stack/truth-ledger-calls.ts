import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** Counts the calls that reach ledger objects, as they report them themselves. */
export type LedgerCounter = {
  url: string
  /** Methods in the order in which they were called. */
  names(): readonly string[]
  reset(): void
  close(): Promise<void>
}

export async function startLedgerCounter(): Promise<LedgerCounter> {
  let names: string[] = []
  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    names.push(...(request.url ?? '/').slice(1).split(','))
    response.end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    names: () => names,
    reset: () => {
      names = []
    },
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}

const METHODS = ['hold', 'extend', 'release', 'settle']

/**
 * The built jobs Worker with one thing added: its objects tell which of their methods were called, in order and a few
 * milliseconds late, so that the telling does not slow down what is measured.
 */
export function counted(jobsScript: string, url: string): string {
  const methods = METHODS.map((method) => `${method}(input) { this.tell('${method}'); return super.${method}(input) }`)
  return extended(
    jobsScript,
    `told = []
  tell(method) {
    if (this.told.push(method) === 1) setTimeout(() => fetch('${url}/' + this.told.splice(0).join(',')), 5)
  }
  ${methods.join('\n  ')}`,
  )
}

/** The built jobs Worker whose objects settle every call twice, as a caller does who did not hear the first answer. */
export function settledTwice(jobsScript: string): string {
  return extended(
    jobsScript,
    'async settle(input) { const first = await super.settle(input); await super.settle(input); return first }',
  )
}

/** The same Worker with its object's class extended by these members. */
function extended(jobsScript: string, members: string): string {
  const named = /export\s*\{([^}]*?)(\w+)\s+as\s+OrgLedger([^}]*)\}/.exec(jobsScript)
  if (!named) throw new Error('the built jobs Worker exports no OrgLedger')
  const [exported = '', before = '', name = '', after = ''] = named
  return `${jobsScript.replace(exported, `export {${before}${after.replace(/^\s*,/, '')}}`)}
export class OrgLedger extends ${name} {
  ${members}
}
`
}
