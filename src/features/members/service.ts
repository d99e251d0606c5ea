export { acceptInvitation } from './accept.ts'
export { findAccess, markAll } from './access.ts'
