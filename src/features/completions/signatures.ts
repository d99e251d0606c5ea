import type { Policy } from '../../core/admission.ts'
import type { Ctx, Deps } from '../../core/context.ts'
import type { ChatBody, ChatCompletion } from '../../core/models.ts'
import type { Target } from '../routing/service.ts'
import { createKeeper, keepAnswer, lookUp, recall, signingOf, withRecalled } from '../signatures/service.ts'
import { type Asked, nativeFor } from './request.ts'

/** How a target signs what it writes; undefined where nothing is signed, or its caller gets it in the vendor's words. */
const signingFor = (asked: Asked, target: Target) => (nativeFor(asked, target) ? undefined : signingOf(target))

const historyOf = (orgId: string, { body }: Asked, signing: readonly { texts: boolean }[]) => ({
  orgId,
  messages: body.messages,
  texts: signing.some(({ texts }) => texts),
})

/** What may have been signed of a conversation that goes to these targets; undefined when none of them signs. */
export function signedFor(
  deps: Pick<Deps, 'memory' | 'now'>,
  { orgId }: Pick<Policy, 'orgId'>,
  { asked, targets }: { asked: Asked; targets: readonly Target[] },
): ReturnType<typeof lookUp> | undefined {
  const signing = targets.flatMap((target) => signingFor(asked, target) ?? [])
  return signing.length === 0 ? undefined : lookUp(deps, historyOf(orgId, asked, signing))
}

/** The call with what was signed of its conversation; `covers` says whether so many bytes more may be sent. */
export async function recallSigned(
  ctx: Ctx,
  asked: Asked,
  { targets, covers }: { targets: readonly Target[]; covers: (bytes: number) => Promise<boolean> },
): Promise<Asked> {
  const signing = targets.flatMap((target) => signingFor(asked, target) ?? [])
  if (signing.length === 0) return asked
  const recalled = await recall(ctx, historyOf(ctx.admission.policy.orgId, asked, signing))
  const newBytes = recalled.reduce((sum, { isNew, bytes }) => (isNew ? sum + bytes : sum), 0)
  // What this isolate has known is held for already.
  const isCovered = newBytes === 0 || (await covers(newBytes))
  return { ...asked, recalled: isCovered ? recalled : recalled.filter(({ isNew }) => !isNew) }
}

/** A body as its target is sent it: with what the target itself has signed of the conversation. */
export function signedBody(body: ChatBody, { recalled = [] }: Asked, target: Target): ChatBody {
  const signing = recalled.length > 0 ? signingOf(target) : undefined
  return signing ? withRecalled(body, recalled, signing.by) : body
}

/** Keeps what a stream's target signs; undefined where there is nothing to keep. */
export function keeperFor(ctx: Ctx, asked: Asked, target: Target): ReturnType<typeof createKeeper> | undefined {
  const signing = signingFor(asked, target)
  return signing && createKeeper(ctx, { ...signing, answered: asked.body.messages.at(-1) })
}

/** The same for an answer in one piece, once this is resolved. */
export async function keepSigned(
  ctx: Ctx,
  asked: Asked,
  { target, completion }: { target: Target; completion: ChatCompletion },
): Promise<void> {
  const signing = signingFor(asked, target)
  if (signing) await keepAnswer(ctx, { ...signing, answered: asked.body.messages.at(-1) }, completion)
}
