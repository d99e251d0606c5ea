/**
 * `HELIX_KEY=… npx node --disable-warning=ExperimentalWarning scripts/check-node.ts` asks a node, through a gateway
 * that runs, for what only a machine with models can show.
 *
 *   HELIX_URL          the gateway; http://127.0.0.1:8787 unless said
 *   --node NAME        as calls name it; `ollama`, the one of the installation, unless said
 *   --pictures N       how many are indexed and looked for, and removed again; 100 unless said
 *
 * A line for each check; what the node has no model for is skipped, and printed. Exits with 1 when one of them failed.
 */
import { parseArgs } from 'node:util'
import { checkNode } from './node-check/checks.ts'

const { values } = parseArgs({
  options: { node: { type: 'string', default: 'ollama' }, pictures: { type: 'string', default: '100' } },
})
const key = process.env.HELIX_KEY
if (!key) {
  throw new Error(
    'HELIX_KEY is missing: a key with node:read, models:read, chat:write, vision:write, audio:write and semantic:write.',
  )
}
const url = (process.env.HELIX_URL ?? 'http://127.0.0.1:8787').replace(/\/+$/, '')
const through = { url, key, node: values.node, pictures: Number(values.pictures) }
const isGood = await checkNode(through, ({ check, result, words }) =>
  console.info(`${result.padEnd(8)}${check}: ${words}`),
)
process.exitCode = isGood ? 0 : 1
