import { type Catalog, genericModel } from './catalog.ts'
import type { DemoScript, ScriptedReply } from './types.ts'

/** Installs scripted names that carry a tag and that the catalog lacks, so that listings show them. */
export function installScripted(script: DemoScript, catalog: Catalog, nowMs: number): void {
  for (const [name, replies] of Object.entries(script)) {
    const [first] = [replies].flat()
    if (!/:./.test(name) || catalog.find(name)) continue
    catalog.install(genericModel(name, first?.capabilities ?? ['completion', 'tools'], nowMs))
  }
}

/** Hands out the reply for a model name: longest prefix first, lists one entry per request. */
export function openScript(script: DemoScript): (modelName: string) => ScriptedReply | undefined {
  const prefixes = Object.keys(script).sort((left, right) => right.length - left.length)
  const used = new Map<string, number>()
  return (modelName) => {
    const prefix = prefixes.find((candidate) => modelName.startsWith(candidate))
    if (prefix === undefined) return undefined
    const replies = [script[prefix] ?? []].flat()
    const turn = used.get(prefix) ?? 0
    used.set(prefix, turn + 1)
    return replies[Math.min(turn, replies.length - 1)]
  }
}
