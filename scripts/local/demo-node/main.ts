import { startDemoNode } from './server.ts'

// Runs the node by itself, e.g. `node scripts/local/demo-node/main.ts 11435`.
const node = await startDemoNode({ port: Number(process.argv[2] ?? 11435), log: (line) => console.log(line) })
console.log(`The demo node (no model, Ollama's API) listens on ${node.url}`)

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void node.close())
