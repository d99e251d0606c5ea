import { toPage } from '../../http/page.ts'
import { get } from '../../http/route.ts'
import { exportAudit } from './export.ts'
import { listAudit, viewOf } from './rows.ts'
import { AuditPage, AuditQuery, ExportQuery, Verification, VerifyQuery } from './schema.ts'
import { verifyChain } from './verify.ts'

export const routes = [
  get(
    '/api/v1/audit',
    {
      summary: 'List the audit log',
      description: 'Who did what, on what and when: writes outside inference, sign-ins and refused calls.',
      scope: 'audit:read',
      query: AuditQuery,
      response: AuditPage,
    },
    async (ctx, { query }) => toPage((await listAudit(ctx, query)).map(viewOf), query.limit),
  ),

  get(
    '/api/v1/audit/verify',
    {
      summary: 'Verify the audit log',
      description:
        'Recomputes the chain of hashes and names the first row that does not hold. Up to 10,000 rows a call: go on ' +
        'with `next_from_seq`. A place behind the end of the log is 422.',
      scope: 'audit:read',
      query: VerifyQuery,
      response: Verification,
    },
    (ctx, { query }) => verifyChain(ctx, query.from_seq),
  ),

  get(
    '/api/v1/audit/export',
    {
      summary: 'Export the audit log',
      description:
        'Up to 10,000 rows as CSV or JSON. `x-helix-truncated: true` says that there are more; they begin after the id ' +
        'in `x-helix-next-after`.',
      scope: 'audit:read',
      query: ExportQuery,
      raw: ['text/csv', 'application/json'],
    },
    (ctx, { query }) => exportAudit(ctx, query),
  ),
]
