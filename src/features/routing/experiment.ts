import type { Policy } from '../../core/admission.ts'
import type { Experiment, Variant } from '../../core/routing.ts'
import { shareOf } from './lots.ts'

export type Assigned = { variant: Variant; propensity: number }

/** Whose calls stay together in an experiment; undefined where it is the request and that has no id yet. */
export function unitOf(
  { unit }: Pick<Experiment, 'unit'>,
  { userId, keyId }: Pick<Policy, 'userId' | 'keyId'>,
  requestId: string | undefined,
): string | undefined {
  if (unit === 'request') return requestId
  // A key that nobody made is a user of its own.
  return unit === 'user' ? (userId ?? keyId) : keyId
}

/**
 * The variant that a unit falls to: always the same one, by weight over all units, and independent of the one that it
 * falls to in another experiment.
 */
export function assign({ id, variants }: Pick<Experiment, 'id' | 'variants'>, unit: string): Assigned | undefined {
  const weights = variants.map(({ weight }) => weight)
  const variant = variants[shareOf(weights, lotOf(`${id}:${unit}`))]
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  return variant && { variant, propensity: variant.weight / total }
}

/** A number in [0, 1) that looks random and follows from the text: FNV-1a, its bits mixed as MurmurHash3 does. */
function lotOf(text: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32
}
