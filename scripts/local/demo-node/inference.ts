import { genericModel, type ModelSpec } from './catalog.ts'
import { httpFailure } from './failures.ts'
import { hangUntilGone, runGeneration, type Wire } from './generate-stream.ts'
import { loadModel } from './memory.ts'
import { canonicalName, qualifiedName } from './names.ts'
import { readOptions } from './options.ts'
import { planGeneration } from './plan.ts'
import { sendJson } from './responses.ts'
import { parseKeepAlive } from './runners.ts'
import type { Capability, ChatMessage, Exchange, JsonObject, ScriptedReply, ThinkLevel, ToolSpec } from './types.ts'

/** What chat and generate have in common, from either API family. */
export type Inference = {
  /** The model name as the client wrote it; answers and errors repeat it. */
  asked: string
  verb: 'chat' | 'generate'
  messages: readonly ChatMessage[]
  tools: readonly ToolSpec[]
  needs: readonly Capability[]
  format: unknown
  think: string | boolean | undefined
  options: JsonObject | null | undefined
  keepAlive: number | string | null | undefined
  truncate: boolean
  stream: boolean
  /** Nothing to answer: the request only loads (or, with a keep-alive of 0, unloads) the model. */
  empty: boolean
}

/** Keep-alive in milliseconds; 400 in Go's words when it is no duration. */
export function keepAliveMs(value: number | string | null | undefined): number {
  const parsed = parseKeepAlive(value)
  if (parsed === undefined) throw httpFailure(400, `time: invalid duration ${JSON.stringify(value)}`)
  return parsed
}

/** Plays the faults that come before any answer; true when the request is answered. */
export async function playFaults({ response, signal }: Exchange, script: ScriptedReply): Promise<boolean> {
  if (script.refuse) throw httpFailure(script.refuse.status, script.refuse.message, script.refuse.headers)
  if (script.hang === 'before-headers') await hangUntilGone(signal)
  if (script.html !== undefined) {
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' })
    response.end(script.html)
    return true
  }
  if (script.answer === undefined) return false
  sendJson(response, 200, script.answer)
  return true
}

/** Takes the script's next reply for the name and plays its faults. Undefined when the request is answered already. */
export async function enterScript(exchange: Exchange, asked: string): Promise<{ script?: ScriptedReply } | undefined> {
  const script = exchange.node.scriptFor(asked)
  if (!script) return {}
  return (await playFaults(exchange, script)) ? undefined : { script }
}

/** The model behind a name: installed, or made up for a scripted name; 404 with `message` otherwise. */
export function resolveModel(exchange: Exchange, asked: string, script: ScriptedReply | undefined, message: string) {
  const installed = exchange.node.catalog.find(asked)
  if (installed) return installed
  const name = canonicalName(asked)
  if (script === undefined || name === undefined) throw httpFailure(404, message)
  return genericModel(name, script.capabilities ?? ['completion', 'tools'], exchange.node.nowMs())
}

function thinkLevel(model: ModelSpec, asked: string, think: string | boolean | undefined): ThinkLevel | undefined {
  if (!model.capabilities.includes('thinking')) {
    if (think !== undefined && think !== false) {
      throw httpFailure(400, `${JSON.stringify(asked)} does not support thinking`)
    }
    return undefined
  }
  if (think === false) return undefined
  return think === 'low' || think === 'high' || think === 'max' ? think : 'medium'
}

function checkCapabilities(model: ModelSpec, inference: Inference): void {
  const { asked, verb, needs } = inference
  if (!model.capabilities.includes('completion')) {
    throw httpFailure(400, `${JSON.stringify(asked)} does not support ${verb}`)
  }
  const missing = needs.filter((need) => !model.capabilities.includes(need))
  if (missing.length > 0) throw httpFailure(400, `${qualifiedName(model.name)} does not support ${missing.join(' ')}`)
}

type IdleAnswer = (reason: 'load' | 'unload') => void

/** Runs chat or generate from the parsed request to the last byte. */
export async function runInference(exchange: Exchange, inference: Inference, wire: Wire, idle: IdleAnswer) {
  const { node } = exchange
  const entered = await enterScript(exchange, inference.asked)
  if (!entered) return
  const { script } = entered
  const model = resolveModel(exchange, inference.asked, script, `model '${inference.asked}' not found`)
  const aliveMs = keepAliveMs(inference.keepAlive)
  if (inference.empty && aliveMs === 0) {
    node.runners.unload(model.name)
    return idle('unload')
  }
  const think = thinkLevel(model, inference.asked, inference.think)
  checkCapabilities(model, inference)
  const options = readOptions(inference.options)
  const startNs = process.hrtime.bigint()
  await loadModel(exchange, model, { aliveMs: Math.max(aliveMs, 1), contextLength: options.contextLength })
  const loadNs = Number(process.hrtime.bigint() - startNs)
  if (inference.empty) return idle('load')
  node.counters.answers += 1
  const sequence = node.counters.answers
  try {
    const plan = planGeneration({ ...inference, model, options, think, sequence }, script)
    await runGeneration(exchange, { plan, wire, stream: inference.stream, script, startNs, loadNs })
  } finally {
    if (aliveMs === 0) node.runners.unload(model.name)
    else node.runners.load(model, aliveMs, options.contextLength)
  }
}
