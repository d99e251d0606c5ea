import type { Admission, Ask, Policy } from '../../core/admission.ts'
import type { Ctx } from '../../core/context.ts'
import { holdAlone } from './alone.ts'
import { drawn, holdRequest } from './holding.ts'
import { limitError } from './refusals.ts'
import { answerOf, consult, decide, orWithdrawn, type Round } from './round.ts'

type Call = {
  /** The call's own, by which it holds and is booked. */
  requestId: string
  /** The request inside which it is made. */
  parentRequestId: string
  ask: (policy: Policy) => Ask | Promise<Ask>
}

/**
 * Admits a call of a model that a request makes inside, under the policy under which that request was let in: its token
 * limits, the limits of providers, places and hard budgets are asked as for a call from outside, in the same one round.
 * What is held is held under the call's own id, and must be settled or released by it. Throws 400, 429 and 503
 * `AppError`s; never asks who the caller is.
 */
export async function admitWithin(ctx: Ctx, { ask, ...call }: Call): Promise<Admission> {
  const policy = ofInnerCalls(ctx.admission.policy)
  const request = { ...call, defer: ctx.defer, signal: ctx.signal }
  const asked = await ask(policy)
  const question: Round = {
    deps: ctx,
    request,
    record: undefined,
    policy,
    refusal: undefined,
    asked,
    hold: drawn(ctx, holdRequest(policy, request, asked)),
    nowMs: ctx.now(),
  }
  const outcome = await consult(question)
  const { reply } = outcome
  return orWithdrawn(question, outcome, () => {
    if (reply === 'redis_away') {
      const earlier = { hold: question.hold, held: answerOf(outcome) }
      return holdAlone({ deps: ctx, request, policy, asked }, earlier)
    }
    if (reply.kind === 'refused') throw limitError(reply, asked)
    if (reply.kind === 'admitted') return decide(question, reply, outcome.held)
    throw new TypeError('admission: the script spoke of a record that it was not to read')
  })
}

/**
 * The caller made one request and it was counted: how many calls of models that takes is not theirs to answer for in
 * requests, but in tokens, money and places. To a provider each of them is a request.
 */
function ofInnerCalls(policy: Policy): Policy {
  const { limits } = policy
  const counts = ({ metric, target }: Policy['limits'][number]): boolean =>
    metric !== 'requests' || target !== undefined
  return limits.every(counts) ? policy : { ...policy, limits: limits.filter(counts) }
}
