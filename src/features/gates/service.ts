export { createGate } from './gate.ts'
export type { Exec } from './leases.ts'
export { isGated, type Leave, leavingAfter, passGate } from './pass.ts'
export { unseen } from './unseen.ts'
