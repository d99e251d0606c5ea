import * as z from 'zod'
import type { Ctx } from '../../core/context.ts'
import { unfit } from '../../core/errors.ts'
import { UpstreamError } from '../../core/models.ts'
import type { NodeRequest, NodeSend } from '../../core/node.ts'
import { nodeFaultOf } from '../../core/node-fault.ts'
import { OutboundError } from '../../core/outbound.ts'
import { readText } from '../../core/read-text.ts'
import { connectNode, nodeFactsOf } from '../providers/service.ts'
import { type NodeRow, nodeSpecOf } from './spec.ts'

const LOOK_MS = 10_000
/** No list of models is longer than this. */
const MAX_BYTES = 1_000_000

type Wanted = {
  field: 'base_url' | 'speech_url' | 'metrics_url'
  is: string
  ask: Pick<NodeRequest, 'server' | 'path'>
  answer: z.ZodType
}

const ollama: Wanted = {
  field: 'base_url',
  is: 'an Ollama',
  ask: { server: 'ollama', path: '/api/version' },
  answer: z.object({ version: z.string() }),
}
const speech: Wanted = {
  field: 'speech_url',
  is: 'a speech server',
  ask: { server: 'speech', path: '/v1/models' },
  answer: z.object({ data: z.array(z.unknown()) }),
}
const agent: Wanted = {
  field: 'metrics_url',
  is: 'a node’s agent',
  ask: { server: 'agent', path: '/metrics' },
  answer: z.object({ gpus: z.array(z.unknown()) }),
}

/**
 * Asks every server of a node, through its tunnel and with its credential, for what only such a server answers. Throws
 * 422 for the first that does not, with the class of the failure.
 */
export async function verifyNode(ctx: Ctx, row: NodeRow, opened: string | undefined): Promise<void> {
  const wanted = [ollama, ...(row.speech_url === null ? [] : [speech]), ...(row.metrics_url === null ? [] : [agent])]
  const send = sendOf(ctx, row, opened)
  const [isAgent, ...found] = await Promise.all([
    row.speech_url !== null && answersAsAgent(ctx, sendOf(ctx, { ...row, metrics_url: row.speech_url }, opened)),
    ...wanted.map((one) => problemOf(ctx, send, one)),
  ])
  if (isAgent) throw unfit('speech_url', 'is the address of a node’s agent, and that is no speech server')
  for (const [at, { field }] of wanted.entries()) {
    const problem = found[at]
    if (problem !== undefined) throw unfit(field, problem)
  }
}

/** An agent lists its models where a speech server does, and would be taken for one. */
const answersAsAgent = async (ctx: Ctx, send: NodeSend): Promise<boolean> =>
  (await problemOf(ctx, send, agent)) === undefined

function sendOf(ctx: Ctx, row: NodeRow, opened: string | undefined): NodeSend {
  const spec = nodeSpecOf(row)
  const facts = nodeFactsOf({ orgId: row.org_id, spec, dataKeys: [] })
  const link = facts && connectNode(ctx, spec, { facts, opened }).node
  if (!link) throw new Error('The provider of a node has no way to it.')
  return link.send
}

async function problemOf(ctx: Ctx, send: NodeSend, { ask, is, answer }: Wanted): Promise<string | undefined> {
  const signal = AbortSignal.any([ctx.signal, AbortSignal.timeout(LOOK_MS)])
  try {
    const response = await send({ ...ask, method: 'GET', signal, headersTimeoutMs: LOOK_MS })
    if (!response.ok) {
      await response.body?.cancel()
      return `did not answer as ${is} does (${classOf(new UpstreamError('status', '', { status: response.status }))})`
    }
    return answer.safeParse(await jsonOf(response)).success ? undefined : `did not answer as ${is} does (bad_output)`
  } catch (error) {
    if (error instanceof OutboundError && error.fault === 'blocked') return error.message
    return `did not answer as ${is} does (${faultOf(error, signal)})`
  }
}

function faultOf(error: unknown, signal: AbortSignal): string {
  if (signal.aborted) return 'timeout'
  if (error instanceof OutboundError) return error.fault === 'timeout' ? 'timeout' : 'tunnel_down'
  return error instanceof UpstreamError ? classOf(error) : 'bad_output'
}

const classOf = (error: UpstreamError): string => nodeFaultOf(error) ?? `status ${error.status}`

/** Throws for what is no JSON, and for more than anybody honest sends. */
async function jsonOf(response: Response): Promise<unknown> {
  const { text, isCut } = await readText(response, MAX_BYTES)
  if (isCut) throw new Error('The answer is too long.')
  return JSON.parse(text)
}
