import type { ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { errorBody } from './errors.ts'
import type { Script } from './script.ts'
import type { OpenRow } from './truth.ts'
import type { EventList } from './wire.ts'

/** How a stream or a body is to end before its end, after how many pieces. */
const endings = ['hang-after', 'cut', 'eof', 'malformed', 'errorevent'] as const
type Ending = { kind: (typeof endings)[number]; after: number } | undefined

function endingOf(script: Script): Ending {
  const kind = endings.find((name) => script[name] !== undefined)
  return kind && { kind, after: script[kind] ?? 0 }
}

/** How many pieces an unpaced stream hands over at once. */
const batchSize = 64

/** Whether the bytes left this process: false when the client went first. */
type Flush = (bytes: Buffer) => Promise<boolean>

/** A cut right after a write would take its bytes along, so every write is waited for. */
function flushTo(response: ServerResponse): Flush {
  const closed = new Promise<false>((resolve) => response.once('close', () => resolve(false)))
  return (bytes) =>
    Promise.race([closed, new Promise<boolean>((resolve) => response.write(bytes, (error) => resolve(!error)))])
}

/** One way to write, whatever the script wants done to the bytes. Each write says whether to go on. */
export type Sink = { write(text: string | Buffer): Promise<boolean>; gone: AbortSignal; cutOff(): void }

/** Takes down in `row` when the client leaves early; must exist before the first wait. */
export function createSink(response: ServerResponse, script: Script, row: OpenRow): Sink {
  const flush = flushTo(response)
  const gone = new AbortController()
  let isOurs = false
  response.once('close', () => {
    row.clientLeft = !isOurs && !response.writableFinished
    gone.abort()
  })
  let bytesLeft = script.cutbytes ?? Number.POSITIVE_INFINITY
  const cutOff = () => {
    isOurs = true
    response.destroy()
  }
  const bytesOf = (text: string | Buffer) => {
    if (typeof text !== 'string') return text
    const commented = script.comments && text !== '' ? `: keep-alive\n\n${text}` : text
    return Buffer.from(script.crlf ? commented.replaceAll('\n', '\r\n') : commented)
  }
  async function write(text: string | Buffer): Promise<boolean> {
    const bytes = bytesOf(text)
    const sent = bytes.subarray(0, bytesLeft)
    bytesLeft -= sent.length
    const steps = script.bytesplit ? Array.from(sent, (_byte, index) => sent.subarray(index, index + 1)) : [sent]
    for (const step of steps) if (step.length > 0 && !(await flush(step))) return false
    if (bytesLeft === 0) cutOff()
    return bytesLeft > 0
  }
  return { write, gone: gone.signal, cutOff }
}

/** Waits unless the client goes first; false when it did. */
export const pause = (milliseconds: number, gone: AbortSignal) =>
  sleep(milliseconds, true, { signal: gone, ref: false }).catch(() => false)

function finish(response: ServerResponse, row: OpenRow, last: { billed?: number | undefined; bytes?: Buffer }): void {
  if (last.billed !== undefined) row.completion = last.billed
  row.finished = true
  response.end(last.bytes)
}

const eventOf = (value: unknown) => `data: ${JSON.stringify(value)}\n\n`
const brokenEvent = 'data: {"id":"chatcmpl-broken","choices":[{"index":0,"delta":{"content":" oops\n\n'
const overloaded = errorBody('The server is overloaded or not ready yet.', 'server_error', { code: 'overloaded' })

/** The tail of a stream that does not end as it should. */
async function endBadly(sink: Sink, response: ServerResponse, kind: (typeof endings)[number]): Promise<void> {
  if (kind === 'hang-after') return
  if (kind === 'cut') return sink.cutOff()
  if (kind === 'malformed' && !(await sink.write(brokenEvent))) return
  if (kind === 'errorevent' && !(await sink.write(eventOf(overloaded)))) return
  response.end()
}

/** `billed`: the completion tokens that the script claims; undefined bills the pieces. */
export type Delivery = { script: Script; row: OpenRow; sink: Sink; billed: number | undefined }

/** Sends the events one by one, in the script's pace, up to its ending. */
export async function streamByScript(
  response: ServerResponse,
  events: EventList,
  { script, row, sink, billed }: Delivery,
): Promise<void> {
  const ending = endingOf(script)
  if (!(await sink.write(events.head))) return
  for (const [index, event] of events.pieces.entries()) {
    if (ending && index >= ending.after) break
    if (script.slow && !(await pause(script.slow, sink.gone))) return
    const writing = sink.write(event)
    row.pieces += 1
    row.completion += 1
    if (!(await writing)) return
  }
  if (ending) return endBadly(sink, response, ending.kind)
  if (await sink.write(events.tail)) finish(response, row, { billed })
}

/** The events of an unscripted stream, joined into as few writes as an upstream in a hurry would make. */
export type Batch = { bytes: Buffer; pieces: number }

export function batchesOf({ head, pieces, tail }: EventList): Batch[] {
  const batches: Batch[] = []
  for (let start = 0; start < pieces.length; start += batchSize) {
    const events = pieces.slice(start, start + batchSize)
    const text = (start === 0 ? head : '') + events.join('') + (start + batchSize >= pieces.length ? tail : '')
    batches.push({ bytes: Buffer.from(text), pieces: events.length })
  }
  return batches.length > 0 ? batches : [{ bytes: Buffer.from(head + tail), pieces: 0 }]
}

/** As fast as the client reads: a long answer is not written past a client that stopped reading or left. */
export async function streamBatches(response: ServerResponse, batches: readonly Batch[], row: OpenRow): Promise<void> {
  const flush = batches.length > 1 ? flushTo(response) : undefined
  response.once('close', () => {
    row.clientLeft = !response.writableFinished
  })
  for (const [index, { bytes, pieces }] of batches.entries()) {
    row.pieces += pieces
    row.completion += pieces
    if (index === batches.length - 1) finish(response, row, { bytes })
    else if (!(await flush?.(bytes))) return
  }
}

/** A whole body under a script: as it is, or broken off where a stream would be, at the same share of its length. */
export async function wholeByScript(
  response: ServerResponse,
  text: string,
  { script, row, sink, billed }: Delivery,
): Promise<void> {
  const ending = endingOf(script)
  const total = row.answer?.pieces.length ?? 0
  row.pieces = ending ? Math.min(ending.after, total) : total
  row.completion = row.pieces
  if (ending?.kind === 'errorevent') {
    if (await sink.write(JSON.stringify(overloaded))) response.end()
    return
  }
  const share = ending ? Math.min(0.9, total > 0 ? row.pieces / total : 0.5) : 1
  if (!(await sink.write(text.slice(0, Math.floor(text.length * share))))) return
  if (ending) return endBadly(sink, response, ending.kind === 'malformed' ? 'eof' : ending.kind)
  finish(response, row, { billed })
}
