import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import type { OnceCall } from '../../core/once.ts'
import { wholeResponse } from '../../http/whole.ts'
import { open, seal } from '../encryption/service.ts'
import { fingerprintOf } from './fingerprint.ts'
import { type Answer, type Claim, claim, finish, release, sweep } from './rows.ts'

const MAX_KEPT_CHARACTERS = 1_000_000
/** One call in so many also removes what has run out. */
const SWEEP_EVERY = 50
const IN_PROGRESS_RETRY_SECONDS = 1

/**
 * One call with a key: claim it, run it, keep its answer; or answer what it answered before. Throws 409 and 422 for a
 * key that is taken, `DependencyError('postgres')` before anything ran, and what `run` throws.
 */
export async function runOnce(ctx: Ctx, call: OnceCall, run: () => Promise<Response>): Promise<Response> {
  const claimed = await orReleased(ctx, () => claimOrAnswer(ctx, call))
  if (claimed instanceof Response) return claimed
  if (ctx.random() < 1 / SWEEP_EVERY) ctx.defer(sweep(ctx))
  const response = await run().catch(async (error: unknown) => {
    await unlessStuck(ctx, release(ctx, claimed))
    throw error
  })
  if (response.ok) return keep(ctx, claimed, response)
  await unlessStuck(ctx, release(ctx, claimed))
  return response
}

async function claimOrAnswer(ctx: Ctx, call: OnceCall): Promise<Claim | Response> {
  const fingerprint = await fingerprintOf(ctx.caller.keyId, call)
  const outcome = await claim(ctx, fingerprint)
  if ('claimed' in outcome) return outcome.claimed
  const { found } = outcome
  if (found && found.body_hash !== fingerprint.bodyHash) {
    throw new AppError('idempotency_mismatch', 'This Idempotency-Key was used for a call with another body.')
  }
  // A row that is gone by now was of a call that failed in this moment: the next try runs.
  if (found?.state !== 'done') {
    const retryAfterSeconds = IN_PROGRESS_RETRY_SECONDS
    throw new AppError('idempotency_in_progress', 'A call with this Idempotency-Key is running.', { retryAfterSeconds })
  }
  const answer = await repeated(ctx, found.id, found)
  await releaseHold(ctx)
  return answer
}

/** What admission held for a call that will not be made is free again before its caller can make the next one. */
async function orReleased<T>(ctx: Ctx, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    await releaseHold(ctx)
    throw error
  }
}

async function releaseHold({ admission, ledgerOf, requestId, log }: Ctx): Promise<void> {
  if (!admission.held) return
  try {
    await ledgerOf(admission.policy.orgId).release(requestId)
  } catch (cause) {
    log.error('hold_not_released', { request_id: requestId, cause })
  }
}

const placeOf = (ctx: Ctx, id: string) => ({
  orgId: ctx.caller.orgId,
  table: 'idempotency_keys',
  column: 'body',
  rowId: id,
})

async function repeated(ctx: Ctx, id: string, { status, headers, body }: Answer): Promise<Response> {
  if (body === null) {
    throw new AppError(
      'conflict',
      'The call with this Idempotency-Key was answered by a stream, or at too great a length to be kept: it is not ' +
        'repeated. Use a new key to make it again.',
    )
  }
  const text = await open(ctx, placeOf(ctx, id), body)
  return responseOf(text, { status: status ?? 200, headers: { ...headers, 'idempotent-replayed': 'true' } })
}

/** The same response, once what can be kept of it is: whoever has it can rely on its repetition. */
async function keep(ctx: Ctx, own: Claim, response: Response): Promise<Response> {
  const { status } = response
  const headers = headersOf(response)
  if (!isWhole(response)) {
    ctx.defer(finish(ctx, own, { status, headers, body: null }))
    return response
  }
  const text = await response.text()
  const store = async () => {
    const body = text.length > MAX_KEPT_CHARACTERS ? null : await seal(ctx, placeOf(ctx, own.id), text)
    await finish(ctx, own, { status, headers, body })
  }
  await unlessStuck(ctx, store())
  return responseOf(text, { status, headers: Object.fromEntries(response.headers) })
}

const responseOf = (text: string, init: { status: number; headers: Record<string, string> }): Response =>
  text === '' ? new Response(null, init) : wholeResponse(text, init)

function isWhole({ body, headers }: Response): boolean {
  return body === null || /^application\/(?:[\w.-]+\+)?json\b/.test(headers.get('content-type') ?? '')
}

const KEPT_HEADER = /^(?:content-type|location|x-helix-.+)$/

const headersOf = ({ headers }: Response): Record<string, string> =>
  Object.fromEntries([...headers].filter(([name]) => KEPT_HEADER.test(name)))

/** The call is over either way; at worst its key stays taken until the claim runs out. */
async function unlessStuck({ log, requestId }: Ctx, work: Promise<void>): Promise<void> {
  try {
    await work
  } catch (cause) {
    log.error('idempotency_key_stuck', { request_id: requestId, cause })
  }
}
