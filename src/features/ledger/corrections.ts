import type { Admission } from '../../core/admission.ts'
import type { LedgerRow, Settlement } from '../../core/ledger.ts'
import { countedOnTargets, frameOf, isOnTarget, ttlSecondsOf } from '../limits/service.ts'

/**
 * What the token windows that a call was charged to must still be given or get back, once it is known what it used. A
 * provider's window is charged for the target that was meant to answer: if another one did, it goes over to that one's.
 */
export function correctionsOf(
  { policy, tokenCharges }: Pick<Admission, 'policy' | 'tokenCharges'>,
  row: LedgerRow,
  nowMs: number,
): Settlement['tokenCorrections'] {
  const used = row.prompt_tokens + row.completion_tokens
  const answering = `${row.provider}/${row.model}`
  const charged = tokenCharges.map(({ key, tokens, ttlSeconds, target }) => {
    const isIts = target === undefined || isOnTarget({ target }, answering)
    return { key, delta: isIts ? used - tokens : -tokens, ttlSeconds }
  })
  const others = countedOnTargets(policy.limits, [answering]).flatMap((limit) => {
    if (limit.metric !== 'tokens' || limit.mode === 'monitor') return []
    const frame = frameOf(policy.orgId, limit, nowMs)
    const isCharged = tokenCharges.some(({ key }) => key.startsWith(`${policy.orgId}:rl:${limit.id}:`))
    return isCharged ? [] : frame.keys.slice(0, 1).map((key) => ({ key, delta: used, ttlSeconds: ttlSecondsOf(frame) }))
  })
  return others.length === 0 ? charged : [...charged, ...others]
}
