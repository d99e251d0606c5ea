import { createServer } from 'node:net'

const LOOPBACK = '127.0.0.1'

/** Whether a port of 127.0.0.1 could be listened on right now. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, LOOPBACK, () => probe.close(() => resolve(true)))
  })
}

/** @throws Error with one sentence when something else listens there. */
export async function requireFree(port: number): Promise<void> {
  if (port === 0 || (await isFree(port))) return
  throw new Error(`Port ${port} is in use by another program: stop it, or choose another with --port.`)
}
