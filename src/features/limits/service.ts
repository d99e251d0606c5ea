export { compileLimits, type LimitRow, limitOf } from './compile.ts'
export { standingOf } from './standing.ts'
export { isOnTarget } from './targets.ts'
export {
  countedLimits,
  countedOnTargets,
  type Frame,
  frameOf,
  limitKeys,
  SHADOW_SECONDS,
  ttlSecondsOf,
} from './windows.ts'
