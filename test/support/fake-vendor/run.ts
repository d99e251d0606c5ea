/** The fake vendor as a process: `node run.ts --port 0` prints its address as one JSON line and serves until killed. */
import { parseArgs } from 'node:util'
import { startFakeVendor } from './server.ts'

const { values } = parseArgs({ options: { port: { type: 'string', default: '0' } } })
const vendor = await startFakeVendor({ port: Number(values.port) })
console.log(JSON.stringify({ url: vendor.url, pid: process.pid }))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void vendor.close())
