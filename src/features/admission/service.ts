import type { AdmissionRequest, Admit, Ask, Policy } from '../../core/admission.ts'
import type { Deps } from '../../core/context.ts'
import { DependencyError } from '../../core/errors.ts'
import { parseKey } from '../keys/service.ts'
import { looksLikeAccessToken } from '../signing/service.ts'
import { admitAlone } from './alone.ts'
import { authorise, refusalOf } from './authority.ts'
import { createDenials } from './denials.ts'
import { drawn, holdRequest, withdrawBefore } from './holding.ts'
import { refresh } from './load.ts'
import { createLocalLimit } from './local-limit.ts'
import { type Known, recognise } from './recognise.ts'
import { limitError } from './refusals.ts'
import { answerOf, consult, decide, isRefused, orWithdrawn, type Round } from './round.ts'
import { isScraper, scraperAdmission } from './scraper.ts'

export { redisKeys } from './keys.ts'
export { forgetTarget, noteTarget, type TargetNote, type TargetNoted } from './note-script.ts'
export { peek } from './peek.ts'
export { createStrangers } from './strangers.ts'
export { giveBackProbe, giveBackProbes, type Probe } from './targets.ts'
export { admitWithin } from './within.ts'

/** A record can be missing, change and come of age while we load it, not more often than that by honest means. */
const MAX_ROUNDS = 6

const NOTHING: Ask = { tokens: 0, candidates: [] }

/**
 * Admission for one gateway: it owns what this isolate remembers of credentials. The sequence of a call is: recognise
 * the credential, work out what it asks, ask Redis and the ledger side by side, and repeat with the newer policy if Redis had one.
 */
export function createAdmit(): Admit {
  const known = new Map<string, Known>()
  const localLimit = createLocalLimit()
  const noteDenial = createDenials()

  const admit: Admit = async (deps, request, ask) => {
    const scraper = scraperAdmission(deps.settings.metricsToken, request.credential)
    if (scraper) return authorise(scraper, request, deps.now())
    const entry = await recognise(deps, known, request)
    try {
      for (let round = 0; round < MAX_ROUNDS; round++) {
        const question = await pose({ deps, request, entry, isFirst: round === 0 }, ask)
        const outcome = await consult(question)
        const { reply } = outcome
        if (reply === 'redis_away') {
          const earlier = { policy: question.policy, hold: question.hold, held: answerOf(outcome) }
          return await orWithdrawn(question, outcome, () =>
            admitAlone({ deps, request, entry, localLimit, earlier }, ask),
          )
        }
        if (reply.kind === 'admitted') {
          entry.confirmedMs = Number(reply.atMs)
          return await orWithdrawn(question, outcome, () => decide(question, reply, outcome.held))
        }
        if (reply.kind === 'refused') {
          return await orWithdrawn(question, outcome, () => {
            throw limitError(reply, question.asked)
          })
        }
        // The next round holds under the same request id: what this one holds must be gone by then.
        if (question.hold && !isRefused(outcome)) await withdrawBefore(deps, question.hold)
        await refresh(deps, request, entry, reply)
      }
    } catch (error) {
      noteDenial(deps, request, { policy: entry.policy, error })
      if (entry.policy) request.onRefused?.(entry.policy)
      throw error
    } finally {
      // A credential that turned out to be none shall not push real ones out of memory.
      if (!entry.policy && request.credential !== undefined) known.delete(request.credential)
    }
    throw new DependencyError('redis', new Error('the record kept changing'))
  }
  admit.mayBeKnown = (deps, credential) =>
    credential !== undefined && (known.has(credential) || looksKnown(deps, credential))
  return admit
}

const looksKnown = ({ settings }: Pick<Deps, 'settings'>, credential: string): boolean =>
  parseKey(credential) !== undefined || looksLikeAccessToken(credential) || isScraper(settings.metricsToken, credential)

async function pose(
  { deps, request, entry, isFirst }: { deps: Deps; request: AdmissionRequest; entry: Known; isFirst: boolean },
  ask: (policy: Policy) => Ask | Promise<Ask>,
): Promise<Round> {
  const { record, policy } = entry
  const refusal = policy && refusalOf(policy, request, deps.now())
  // Nothing is held or charged in tokens for a caller who will be refused.
  const asked = policy && !refusal ? await ask(policy) : NOTHING
  const hold = policy && holdRequest(policy, request, asked)
  return {
    deps,
    request,
    record,
    policy,
    refusal,
    asked,
    // The ledger is about to take off Redis' list what was held before: only one that holds anew is put back there.
    hold: isFirst ? drawn(deps, hold) : hold,
    nowMs: deps.now(),
  }
}
