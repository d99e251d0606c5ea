export { createGate } from './gate.ts'
export type { Exec } from './leases.ts'
export { type Leave, leavingAfter, passGate } from './pass.ts'
