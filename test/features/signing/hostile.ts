import type { Forge, Hostile } from './forge.ts'
import { duplicates, parties, subjects, texts, times } from './hostile-claims.ts'
import { assemblies, foreign, signatures } from './hostile-forms.ts'
import { kids, otherAlgorithms, parameters, symmetric, types, unencoded, unsigned } from './hostile-headers.ts'

const kinds = [
  unsigned,
  symmetric,
  otherAlgorithms,
  kids,
  parameters,
  unencoded,
  types,
  parties,
  subjects,
  times,
  duplicates,
  texts,
  signatures,
  assemblies,
  foreign,
]

/** Tokens that must all be refused, each with a name of its own: what a forger tries, and single faults under our key. */
export const hostileTokens = (forge: Forge): Hostile[] => kinds.flatMap((kind) => kind(forge))
