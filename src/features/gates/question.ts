import type * as z from 'zod'
import { UpstreamError } from '../../core/models.ts'
import type { NodeFault, NodeLink, NodeRequest } from '../../core/node.ts'
import { nodeFaultOf } from '../../core/node-fault.ts'
import { OutboundError } from '../../core/outbound.ts'
import { readText } from '../../core/read-text.ts'

/** More than any list of models is, and less than an object's memory. */
const MOST_BYTES = 4_000_000
/** Of an error's body, which is looked at for the words of what went wrong. */
const MOST_ERROR_BYTES = 4000

export type Link = Pick<NodeLink, 'send' | 'endpoints'>
export type Question = Pick<NodeRequest, 'server' | 'method' | 'path' | 'headers' | 'body' | 'signal'> & {
  timeoutMs: number
}

/** Why a node did not answer, in one word. */
export class NodeSilence extends Error {
  override readonly name = 'NodeSilence'
  readonly fault: NodeFault

  constructor(fault: NodeFault, cause?: unknown) {
    super(`The node did not answer: ${fault}.`, { cause })
    this.fault = fault
  }
}

/** A node's answer in that shape, within that time. Throws `NodeSilence`. */
export async function askNode<T>({ send }: Link, question: Question, shape: z.ZodType<T>): Promise<T> {
  const { timeoutMs, signal: left, ...request } = question
  const ending = new AbortController()
  const signal = left ? AbortSignal.any([left, ending.signal]) : ending.signal
  const timer = setTimeout(() => ending.abort(), timeoutMs)
  try {
    const response = await send({ ...request, signal, headersTimeoutMs: timeoutMs })
    const { text, isCut } = await readText(response, response.ok ? MOST_BYTES : MOST_ERROR_BYTES)
    if (!response.ok) {
      const vendor = { message: text }
      throw new UpstreamError('status', 'The node refused.', { status: response.status, vendor })
    }
    if (isCut) throw new NodeSilence('bad_output')
    const parsed = shape.safeParse(JSON.parse(text))
    if (!parsed.success) throw new NodeSilence('bad_output', parsed.error)
    return parsed.data
  } catch (error) {
    throw silenceOf(error, ending.signal.aborted)
  } finally {
    clearTimeout(timer)
  }
}

export const jsonQuestion = (body: object): Pick<Question, 'headers' | 'body'> => ({
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
})

function silenceOf(error: unknown, isLate: boolean): NodeSilence {
  if (error instanceof NodeSilence) return error
  if (isLate) return new NodeSilence('timeout', error)
  if (error instanceof SyntaxError) return new NodeSilence('bad_output', error)
  if (error instanceof UpstreamError) return new NodeSilence(nodeFaultOf(error) ?? 'bad_output', error)
  const isTimeout = error instanceof OutboundError && error.fault === 'timeout'
  return new NodeSilence(isTimeout ? 'timeout' : 'tunnel_down', error)
}
