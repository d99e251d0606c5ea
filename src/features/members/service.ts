export { type Acceptance, acceptInvitation, type Joined } from './accept.ts'
export { findAccess, markAll } from './access.ts'
