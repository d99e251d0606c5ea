export { OrgLedger } from './org-ledger.ts'

/** The jobs Worker serves no HTTP: it is the home of what has state. */
export default {
  fetch: () => new Response('This Worker serves no requests.\n', { status: 404 }),
}
