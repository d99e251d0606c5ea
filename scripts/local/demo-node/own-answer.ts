import { setTimeout as sleep } from 'node:timers/promises'
import type * as z from 'zod'
import { readBody } from './body.ts'
import { httpFailure } from './failures.ts'
import { hangUntilGone } from './generate-stream.ts'
import { enterScript } from './inference.ts'
import { openBody } from './responses.ts'
import type { Exchange, JsonObject, ScriptedReply } from './types.ts'

/** What the speech server and the agent have in common: answers of their own with the faults of a script. */

/** As `enterScript`, after the script's delay. */
export async function enterDelayed(exchange: Exchange, asked: string): Promise<{ script?: ScriptedReply } | undefined> {
  const entered = await enterScript(exchange, asked)
  const delayMs = entered?.script?.firstTokenDelayMs ?? 0
  if (delayMs > 0) await sleep(delayMs, undefined, { signal: exchange.signal })
  return entered
}

/** The JSON body; 422 as FastAPI says it. */
export async function readFields<Schema extends z.ZodType>(
  exchange: Exchange,
  schema: Schema,
): Promise<z.output<Schema>> {
  let body: unknown
  try {
    body = JSON.parse((await readBody(exchange)).toString('utf8'))
  } catch (error) {
    if (error instanceof SyntaxError) throw httpFailure(422, 'JSON decode error')
    throw error
  }
  const parsed = schema.safeParse(body)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw httpFailure(422, `${issue?.path.join('.') || 'body'}: ${issue?.message ?? 'invalid'}`)
}

export type PiecedAnswer = {
  contentType: string
  pieces: readonly (string | Uint8Array)[]
  script: ScriptedReply | undefined
}

/** Writes a body piece by piece; a script's cut, failure or silence comes before the piece of its number. */
export async function sendPieces(exchange: Exchange, { contentType, pieces, script }: PiecedAnswer): Promise<void> {
  const { response, signal, node } = exchange
  const body = openBody(response, contentType, script)
  const delayMs = script?.pieceDelayMs ?? node.chunkDelayMs
  for (let index = 0; index <= pieces.length && !body.closed(); index += 1) {
    if (script?.failAfter?.pieces === index && index === 0) throw httpFailure(500, script.failAfter.message)
    const isCut = script?.cutAfter && 'pieces' in script.cutAfter && script.cutAfter.pieces === index
    if (isCut || script?.failAfter?.pieces === index) return await body.cut()
    if (typeof script?.hang === 'object' && script.hang.afterPieces === index) await hangUntilGone(signal)
    const piece = pieces[index]
    if (piece === undefined) break
    if (index > 0 && delayMs > 0) await sleep(delayMs, undefined, { signal })
    await body.write(piece)
  }
  body.end()
}

/** A JSON answer that a script can cut. */
export function sendObject(exchange: Exchange, value: JsonObject, script: ScriptedReply | undefined): Promise<void> {
  return sendPieces(exchange, { contentType: 'application/json', pieces: [JSON.stringify(value)], script })
}

/** The file of a form; 422 without one. */
export async function fileOf(form: FormData): Promise<Buffer> {
  const file = form.get('file')
  if (file === null || typeof file === 'string') throw httpFailure(422, 'file: Field required')
  return Buffer.from(await file.arrayBuffer())
}

/** A text of a form; undefined when it is missing or empty. */
export function textOf(form: FormData, name: string): string | undefined {
  const value = form.get(name)
  return typeof value === 'string' && value !== '' ? value : undefined
}
