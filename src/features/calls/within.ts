import type { Ask, Policy } from '../../core/admission.ts'
import type { Ctx, Deps } from '../../core/context.ts'
import { admitWithin } from '../admission/service.ts'

/**
 * The view of a call that is made inside a request, or by a job: admitted under the same policy, with an id, a time, a
 * decision and a row of its own, which names the request. Throws as `admitWithin`.
 */
export async function within(ctx: Ctx, ask: (deps: Deps, policy: Policy) => Ask | Promise<Ask>): Promise<Ctx> {
  const requestId = ctx.newId('req')
  const startedMs = ctx.now()
  const parentRequestId = ctx.arrival?.parentRequestId ?? ctx.requestId
  const admission = await admitWithin(ctx, { requestId, parentRequestId, ask: (policy) => ask(ctx, policy) })
  return { ...ctx, requestId, startedMs, admission, arrival: { isBooked: false, parentRequestId } }
}

/**
 * A call that is there until its end, and what it holds is settled then, though whoever made it may have failed beside
 * it, or their job was cancelled.
 */
export function toItsEnd<T>({ defer }: Pick<Ctx, 'defer'>, call: Promise<T>): Promise<T> {
  const nothing = (): void => undefined
  defer(call.then(nothing, nothing))
  return call
}

/** The same of a call that needs no admission, for it costs nothing: the request that it is made for is let in already. */
export const callWithin = (ctx: Ctx): Ctx => ({
  ...ctx,
  requestId: ctx.newId('req'),
  startedMs: ctx.now(),
  admission: { ...ctx.admission, held: false, tokenCharges: [] },
  arrival: { isBooked: false, parentRequestId: ctx.arrival?.parentRequestId ?? ctx.requestId },
})
