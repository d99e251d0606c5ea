import type { Ask, Policy } from '../../core/admission.ts'
import type { Deps } from '../../core/context.ts'
import { type Asked, askCompletion } from '../completions/service.ts'
import { readConversation } from './conversation.ts'
import { askedOfResponse, type Conversation } from './request.ts'
import type { CreateResponse } from './schema.ts'

/** A request with all of its conversation. */
type Prepared = { asked: Asked; conversation: Conversation }
type Outcome = { orgId: string } & ({ ok: true; prepared: Prepared } | { ok: false; error: unknown })

/**
 * What admission has found out, for the handler of the same request. A conversation decides what a call costs at the
 * most, so it is read before the caller is admitted; what is wrong with it is said only afterwards.
 */
const outcomes = new WeakMap<CreateResponse, Outcome>()

const NOTHING: Ask = { tokens: 0, candidates: [] }

/** What a response asks of admission. */
export function askResponse(deps: Deps, policy: Policy, request: CreateResponse): Ask | Promise<Ask> {
  return prepare(deps, policy.orgId, request).then((outcome) =>
    outcome.ok ? askCompletion(deps, policy, outcome.prepared.asked) : NOTHING,
  )
}

/** The request of an admitted caller. Throws what `readConversation` does. */
export async function preparedFor(deps: Deps, orgId: string, request: CreateResponse): Promise<Prepared> {
  const outcome = await prepare(deps, orgId, request)
  if (outcome.ok) return outcome.prepared
  throw outcome.error
}

async function prepare(deps: Deps, orgId: string, request: CreateResponse): Promise<Outcome> {
  const known = outcomes.get(request)
  if (known?.orgId === orgId) return known
  const outcome = await readConversation(deps, orgId, request).then(
    (conversation): Outcome => {
      const asked = askedOfResponse(request, conversation)
      return { orgId, ok: true, prepared: { asked, conversation } }
    },
    (error: unknown): Outcome => ({ orgId, ok: false, error }),
  )
  outcomes.set(request, outcome)
  return outcome
}
