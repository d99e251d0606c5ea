import { createAgent } from './server.ts'
import { readSettings } from './settings.ts'

const settings = readSettings(process.env)
const server = createAgent(settings)
server.listen(settings.port, settings.host, () => console.log(`The agent listens on ${settings.host}:${settings.port}`))

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    server.close()
    server.closeIdleConnections()
  })
}
