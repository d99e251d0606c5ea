import { type DemoNode, startDemoNode } from '../../../scripts/local/demo-node/server.ts'
import { type FakeAnthropic, startFakeAnthropic } from './anthropic.ts'
import { type FakeGemini, startFakeGemini } from './gemini.ts'
import { type FakeVendor, startFakeVendor } from './server.ts'

/** An upstream of every wire, and the variables that make a gateway know them. */
export type Fleet = {
  openai: FakeVendor
  claude: FakeAnthropic
  gemini: FakeGemini
  node: DemoNode
  vars: Readonly<Record<string, string>>
  close(): Promise<void>
}

export async function startFleet(): Promise<Fleet> {
  const [openai, claude, gemini, node] = await Promise.all([
    startFakeVendor(),
    startFakeAnthropic(),
    startFakeGemini(),
    startDemoNode({ chunkDelayMs: 0, script: {} }),
  ])
  return {
    openai,
    claude,
    gemini,
    node,
    vars: {
      OPENAI_API_KEY: 'sk-fake-1',
      OPENAI_BASE_URL: openai.url,
      ANTHROPIC_API_KEY: 'sk-ant-fake-1',
      ANTHROPIC_BASE_URL: claude.url,
      GEMINI_API_KEY: 'AIza-fake-1',
      GEMINI_BASE_URL: gemini.url,
      OLLAMA_BASE_URL: node.url,
    },
    close: async () => {
      await Promise.all([openai, claude, gemini, node].map((upstream) => upstream.close()))
    },
  }
}
