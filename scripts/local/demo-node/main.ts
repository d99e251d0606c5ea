import { startDemoNode } from './server.ts'

// Runs the node by itself, e.g. `node scripts/local/demo-node/main.ts 11435`; the other two servers take the next ports.
const port = Number(process.argv[2] ?? 11435)
const log = (line: string): void => console.log(line)
const node = await startDemoNode({ port, speechPort: port + 1, agentPort: port + 2, log })
console.log(`The demo node (no model, Ollama's API) listens on ${node.url}`)
console.log(`Its speech server listens on ${node.speechUrl}, its agent on ${node.agentUrl}`)

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void node.close())
