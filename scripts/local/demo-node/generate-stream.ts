import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { httpFailure } from './failures.ts'
import type { GenerationPlan } from './plan.ts'
import { openBody, type ResponseBody, sendJson } from './responses.ts'
import type { Exchange, ScriptedReply, ToolCall } from './types.ts'

/** One step of an answer; exactly one of the fields is filled. */
export type Part = { thinking?: string; content?: string; toolCall?: ToolCall }

/** The end of an answer. Durations are in nanoseconds. */
export type Summary = {
  doneReason: 'stop' | 'length'
  promptTokens: number
  evalTokens: number
  totalNs: number
  loadNs: number
  promptNs: number
  evalNs: number
}

export type WholeAnswer = {
  thinking: string
  content: string
  /** The tokens of the content. */
  pieces: readonly string[]
  toolCalls: readonly ToolCall[]
}

/** How one API family writes an answer. The functions return complete lines or events. */
export type Wire = {
  streamType: string
  part(part: Part): string
  end(summary: Summary, plan: GenerationPlan): string
  error(message: string): string
  whole(answer: WholeAnswer, summary: Summary): unknown
}

export type GenerationRun = {
  plan: GenerationPlan
  wire: Wire
  stream: boolean
  script: ScriptedReply | undefined
  /** When the model began to be loaded, and how long that took. */
  startNs: bigint
  loadNs: number
}

/** Resolves after the delay, or with 0 after one turn of the event loop, so that a disconnect is seen; rejects on abort. */
async function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  if (delayMs > 0) await sleep(delayMs, undefined, { signal })
  else await nextTurn(undefined, { signal })
}

/** Never resolves; rejects when the client goes away. */
export function hangUntilGone(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const leave = () => reject(signal.reason)
    if (signal.aborted) leave()
    else signal.addEventListener('abort', leave, { once: true })
  })
}

function partsOf(plan: GenerationPlan): Part[] {
  return [
    ...plan.thinking.map((thinking) => ({ thinking })),
    ...plan.content.map((content) => ({ content })),
    ...plan.toolCalls.map((toolCall) => ({ toolCall })),
  ]
}

type Times = { startNs: bigint; firstNs: bigint; loadNs: number }

/** Splits the elapsed time so that the parts never exceed the whole and none is zero. */
function summarise(plan: GenerationPlan, evalTokens: number, times: Times): Summary {
  const totalNs = Math.max(4, Number(process.hrtime.bigint() - times.startNs))
  const untilFirst = Math.min(totalNs - 1, Math.max(3, Number(times.firstNs - times.startNs)))
  const loadNs = Math.max(1, Math.min(untilFirst - 1, times.loadNs))
  const promptNs = untilFirst - loadNs
  const evalNs = totalNs - untilFirst
  return { doneReason: plan.doneReason, promptTokens: plan.promptTokens, evalTokens, totalNs, loadNs, promptNs, evalNs }
}

async function applyFaultBefore(index: number, run: GenerationRun, body: ResponseBody, signal: AbortSignal) {
  const { script, stream, wire } = run
  if (script?.cutAfter && 'pieces' in script.cutAfter && script.cutAfter.pieces === index) return await body.cut()
  if (typeof script?.hang === 'object' && script.hang.afterPieces === index) await hangUntilGone(signal)
  if (script?.failAfter?.pieces !== index) return
  if (!stream || (index === 0 && !body.started())) throw httpFailure(500, script.failAfter.message)
  await body.write(wire.error(script.failAfter.message))
  body.end()
}

/** Sends a planned answer with the script's faults. Stops at once when the client disconnects. */
export async function runGeneration(exchange: Exchange, run: GenerationRun): Promise<void> {
  const { node } = exchange
  node.counters.activeGenerations += 1
  try {
    await send(exchange, run)
  } catch (error) {
    if (exchange.signal.aborted) node.counters.abortedGenerations += 1
    throw error
  } finally {
    node.counters.activeGenerations -= 1
  }
}

async function send(exchange: Exchange, run: GenerationRun): Promise<void> {
  const { node, signal, response } = exchange
  const { plan, wire, stream, script, startNs, loadNs } = run
  if (script?.firstTokenDelayMs) await sleep(script.firstTokenDelayMs, undefined, { signal })
  const firstNs = process.hrtime.bigint()
  const body = openBody(response, stream ? wire.streamType : 'application/json; charset=utf-8', script)
  const delayMs = script?.pieceDelayMs ?? node.chunkDelayMs
  const parts = partsOf(plan)
  for (let index = 0; index <= parts.length; index += 1) {
    if (!body.closed()) await applyFaultBefore(index, run, body, signal)
    const part = parts[index]
    if (body.closed() || part === undefined) break
    if (index > 0) await pause(delayMs, signal)
    if (stream) await body.write(wire.part(part))
  }
  if (body.closed()) return
  await pause(0, signal)
  const summary = summarise(plan, parts.length, { startNs, firstNs, loadNs })
  if (stream) {
    await body.write(wire.end(summary, plan))
    body.end()
    return
  }
  const answer = {
    thinking: plan.thinking.join(''),
    content: plan.content.join(''),
    pieces: plan.content,
    toolCalls: plan.toolCalls,
  }
  const whole = wire.whole(answer, summary)
  if (script?.cutAfter) {
    await body.write(JSON.stringify(whole))
    body.end()
  } else sendJson(response, 200, whole)
}
