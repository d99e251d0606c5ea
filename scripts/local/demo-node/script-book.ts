import { type Catalog, genericModel } from './catalog.ts'
import type { DemoScript, ScriptedReply } from './types.ts'

/** Installs scripted names that carry a tag and that the catalog lacks, so that listings show them. */
export function installScripted(script: DemoScript, catalog: Catalog, nowMs: number): void {
  for (const [name, replies] of Object.entries(script)) {
    const [first] = [replies].flat()
    if (!/^[^ ]+:./.test(name) || catalog.find(name)) continue
    catalog.install(genericModel(name, first?.capabilities ?? ['completion', 'tools'], nowMs))
  }
}

/** Hands out replies. Lists are used up one entry per request. */
export type ScriptBook = {
  /** Longest prefix of the name first. */
  forModel(modelName: string): ScriptedReply | undefined
  forRoute(route: string): ScriptedReply | undefined
  /** Throws away what was there, and begins every list anew. */
  replace(script: DemoScript): void
}

export function openScript(first: DemoScript): ScriptBook {
  let script = first
  const used = new Map<string, number>()
  const take = (key: string | undefined): ScriptedReply | undefined => {
    if (key === undefined) return undefined
    const replies = [script[key] ?? []].flat()
    const turn = used.get(key) ?? 0
    used.set(key, turn + 1)
    return replies[Math.min(turn, replies.length - 1)]
  }
  return {
    forModel: (modelName) => {
      const fitting = Object.keys(script).filter((prefix) => modelName.startsWith(prefix))
      return take(fitting.sort((left, right) => right.length - left.length)[0])
    },
    forRoute: (route) => take(Object.hasOwn(script, route) ? route : undefined),
    replace: (next) => {
      script = next
      used.clear()
    },
  }
}
