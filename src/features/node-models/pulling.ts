import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { UpstreamError } from '../../core/models.ts'
import type { NodeModel } from '../../core/node.ts'
import { readText } from '../../core/read-text.ts'
import type { JobWork } from '../job-queue/service.ts'
import { refusedBy } from './fault.ts'
import { seenNode } from './fleet.ts'
import { type OwnNode, ownNodes, pullableTo, pullsAt } from './pull.ts'
import { createPullTally, type Pulled, PullLine, shareOf } from './pull-stream.ts'

export type PullInput = { name: string; node_id: string; insecure: boolean }
type PullWork = JobWork<PullInput>

const HEADERS_MS = 60_000
/** Ollama is silent while it checks what it has got, which takes minutes for a large model. */
const SILENCE_MS = 300_000
/** Each word of how far it is is a statement. */
const TOLD_EVERY_MS = 1000
const MOST_LINE_CHARS = 64 * 1024
const MOST_ERROR_BYTES = 1000
/** A look that was under way may not have seen it. */
const LOOKS = 3

/** One attempt at a pull: the node takes up what an attempt before has left. What it comes to is the model as it is there. */
export async function pull(work: PullWork): Promise<unknown> {
  const { ctx, input } = work
  const [node] = ownNodes(ctx, input.node_id)
  if (!node) throw new AppError('permission_denied', 'The node is not among those that this credential reaches.')
  const [allowed] = await pullableTo(ctx, [node], input.name)
  if (!allowed) throw new AppError('permission_denied', `${input.name} is not among the models that may be pulled.`)
  await requireTurn(work)
  try {
    await follow(work, node)
  } catch (error) {
    throw error instanceof AppError ? error : refusedBy(node.provider.name, error)
  }
  const model = await registered(ctx, node, input.name)
  const { name, digest, sizeMb, capabilities } = model
  return { name, node_id: node.link.id, digest: digest ?? null, size_mb: sizeMb ?? null, capabilities }
}

/** Two that were asked for at the same moment: the one that was begun first goes on. */
async function requireTurn({ ctx, jobId, input }: PullWork): Promise<void> {
  const [first] = await pullsAt(ctx, { nodeId: input.node_id, statuses: ['running'] })
  if (first && first.id !== jobId) {
    throw new AppError('conflict', 'Another model is being pulled to this node.', { details: { job_id: first.id } })
  }
}

async function follow({ ctx, input, detail, signal, progress }: PullWork, { link }: OwnNode): Promise<void> {
  const { name, insecure } = input
  const response = await link.send({
    server: 'ollama',
    method: 'POST',
    path: '/api/pull',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: name, insecure, stream: true }),
    signal,
    headersTimeoutMs: HEADERS_MS,
  })
  if (!response.ok || !response.body) {
    const { text: message } = await readText(response, MOST_ERROR_BYTES)
    throw new UpstreamError('status', 'The node refused.', { status: response.status, vendor: { message } })
  }
  const before = leftOff(detail)
  const tally = createPullTally(before)
  let share = shareOf(before)
  let toldMs = 0
  let isDone = false
  for await (const line of linesOf(response.body)) {
    const pulled = tally.add(line)
    isDone ||= line.status === 'success'
    if (!isDone && ctx.now() - toldMs < TOLD_EVERY_MS) continue
    toldMs = ctx.now()
    // A layer that is told of later makes the whole larger, and the share of it smaller.
    share = isDone ? 1 : Math.max(share, shareOf(pulled))
    await progress(share, pulled)
  }
  if (!isDone) throw new UpstreamError('cut', 'The node stopped in the middle.')
}

/** What an attempt before has said of where it was. */
const leftOff = (detail: Record<string, unknown> | undefined): Pulled => {
  const figure = (value: unknown): number => (typeof value === 'number' ? value : 0)
  return { completed_bytes: figure(detail?.completed_bytes), total_bytes: figure(detail?.total_bytes), status: '' }
}

/** Throws `UpstreamError` for a line that is none, and for a silence that lasts. */
async function* linesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<PullLine> {
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let carry = ''
  try {
    for (;;) {
      const { done, value } = await patiently(reader.read())
      carry += done ? decoder.decode() : decoder.decode(value, { stream: true })
      const lines = carry.split('\n')
      carry = done ? '' : (lines.pop() ?? '')
      if (carry.length > MOST_LINE_CHARS) throw new UpstreamError('garbage', 'A line has no end.')
      for (const line of lines) if (line.trim() !== '') yield parsed(line)
      if (done) return
    }
  } finally {
    await reader.cancel().catch(() => undefined)
  }
}

async function patiently<T>(reading: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new UpstreamError('timeout', 'The node says nothing any more.')), SILENCE_MS)
  })
  try {
    return await Promise.race([reading, silence])
  } finally {
    clearTimeout(timer)
  }
}

function parsed(line: string): PullLine {
  try {
    return PullLine.parse(JSON.parse(line))
  } catch (cause) {
    throw new UpstreamError('garbage', 'That is no answer to a pull.', { cause })
  }
}

/** The model as the watch over its node sees it now. */
async function registered(ctx: Ctx, node: OwnNode, name: string): Promise<NodeModel> {
  for (let look = 0; look < LOOKS; look += 1) {
    const { state } = await seenNode(ctx, node, 1)
    const found = state.models.find(
      (one) => one.server === 'ollama' && (one.name === name || one.name === `${name}:latest`),
    )
    if (found) return found
  }
  throw new AppError('provider_error', `${node.provider.name} says that it has the model, and does not list it.`)
}
