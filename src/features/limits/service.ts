export { compileLimits, type LimitRow, limitOf } from './compile.ts'
export { countedLimits, type Frame, frameOf, limitKeys, ttlSecondsOf } from './windows.ts'
