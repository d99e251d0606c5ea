import type * as z from 'zod'
import type { Ctx } from '../../core/context.ts'
import { type Provider, UpstreamError } from '../../core/models.ts'
import type { NodeLink, NodeRequest } from '../../core/node.ts'
import { OutboundError } from '../../core/outbound.ts'
import type { Priority } from '../../core/routing.ts'
import { passGate } from '../gates/service.ts'

/** Of an error's body, which is looked at for the words of what went wrong and shown to nobody. */
const MOST_ERROR_BYTES = 4000
/** Four hours of speech with every word's place in it are about 10 MB. */
const MOST_ANSWER_BYTES = 32 * 1024 * 1024

export type Asked = Pick<NodeRequest, 'server' | 'method' | 'path' | 'headers' | 'body' | 'stream'>

/** A place at a node, for as many requests as a piece of work needs. Everything throws `UpstreamError`. */
export type Session = {
  provider: Provider
  link: NodeLink
  /** A 2xx whose body is still to be read. */
  ask(asked: Asked): Promise<Response>
  /** The next bytes of such a body; undefined at its end. */
  read(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<Uint8Array | undefined>
  askJson<T>(asked: Asked, shape: z.ZodType<T>): Promise<T>
  /** Gives the place back and ends what the node still does; safe to call twice. */
  close(): void
}

type Wanted = {
  provider: Provider
  /** From now until the last byte. */
  timeoutMs: number
  /** False where another node could answer at once. */
  waits: boolean
  priority?: Priority | undefined
}

/**
 * Takes a place for sounds at a node. The caller who leaves ends it, and so does the end of its time. Throws
 * `UpstreamError`: `overloaded` where there is no place, `aborted`, and `connect` for what is no node.
 */
export async function openSession(ctx: Ctx, { provider, timeoutMs, waits, priority }: Wanted): Promise<Session> {
  const link = provider.node
  if (!link) throw new UpstreamError('connect', `${provider.name} is no node.`)
  const time = keepTime(ctx, timeoutMs)
  const { signal } = time
  const work = { class: 'audio', priority } as const
  const leave = await passGate(ctx, { provider, work, leftMs: timeoutMs, waits, signal }).catch((error: unknown) => {
    time.release()
    throw error
  })
  const line: Line = { name: provider.name, time }
  const ask: Session['ask'] = async (asked) => {
    const response = await link.send({ ...asked, signal, headersTimeoutMs: time.leftMs() }).catch((error: unknown) => {
      throw failed(line, error, 'connect')
    })
    if (response.ok) return response
    const { status } = response
    const message = await readText(line, response, MOST_ERROR_BYTES)
    throw new UpstreamError('status', `${provider.name} answered with status ${status}.`, {
      status,
      vendor: { message },
    })
  }
  return {
    provider,
    link,
    ask,
    read: (reader) => read(line, reader),
    askJson: async (asked, shape) => {
      const parsed = shape.safeParse(jsonOf(await readText(line, await ask(asked), MOST_ANSWER_BYTES)))
      if (parsed.success) return parsed.data
      throw new UpstreamError('garbage', `${provider.name} sent something else than was asked for.`)
    },
    close: () => {
      time.end()
      leave()
    },
  }
}

type Time = {
  signal: AbortSignal
  isLate: () => boolean
  leftMs: () => number
  release: () => void
  /** Ends whatever is still under way. */
  end: () => void
}

/** Until the caller leaves, or so long. */
function keepTime(ctx: Pick<Ctx, 'signal' | 'now'>, timeoutMs: number): Time {
  const ending = new AbortController()
  const untilMs = ctx.now() + timeoutMs
  let isLate = false
  const timer = setTimeout(() => {
    isLate = true
    ending.abort()
  }, timeoutMs)
  const onLeave = (): void => ending.abort()
  ctx.signal.addEventListener('abort', onLeave)
  if (ctx.signal.aborted) ending.abort()
  const release = (): void => {
    clearTimeout(timer)
    ctx.signal.removeEventListener('abort', onLeave)
  }
  return {
    signal: ending.signal,
    isLate: () => isLate,
    leftMs: () => Math.max(1, untilMs - ctx.now()),
    release,
    end: () => {
      release()
      ending.abort()
    },
  }
}

type Line = { name: string; time: Time }

function failed({ name, time }: Line, error: unknown, otherwise: 'connect' | 'cut'): UpstreamError {
  if (time.isLate()) return new UpstreamError('timeout', `${name} did not answer in time.`, { cause: error })
  if (time.signal.aborted) return new UpstreamError('aborted', `The request to ${name} was ended.`, { cause: error })
  if (error instanceof UpstreamError) return error
  const isTimeout = error instanceof OutboundError && error.fault === 'timeout'
  return new UpstreamError(isTimeout ? 'timeout' : otherwise, `${name} could not be asked.`, { cause: error })
}

async function read(line: Line, reader: ReadableStreamDefaultReader<Uint8Array>): Promise<Uint8Array | undefined> {
  try {
    const { done, value } = await reader.read()
    // A body that was ended by us may look like one that is over.
    if (line.time.signal.aborted) throw new Error('ended')
    return done ? undefined : value
  } catch (error) {
    throw failed(line, error, 'cut')
  }
}

async function readText(line: Line, response: Response, mostBytes: number): Promise<string> {
  const reader = response.body?.getReader()
  if (!reader) return ''
  const chunks: Uint8Array[] = []
  let bytes = 0
  for (let chunk = await read(line, reader); chunk; chunk = await read(line, reader)) {
    const left = mostBytes - bytes
    bytes += chunk.byteLength
    chunks.push(bytes > mostBytes ? chunk.subarray(0, left) : chunk)
    if (bytes > mostBytes) {
      reader.cancel().catch(() => undefined)
      if (response.ok) throw new UpstreamError('garbage', `${line.name} answered at too great a length.`)
      break
    }
  }
  return Buffer.concat(chunks).toString('utf8')
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
