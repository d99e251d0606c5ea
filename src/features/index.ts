import type { Area } from '../http/route.ts'

/** A feature without endpoints of its own: it has a rank, and nothing to mount. */
const inner = (name: string): Area => ({ name, at: [], errors: 'problem', load: async () => ({ routes: [] }) })

/**
 * Every feature in rank order: a feature may use only the features above it. The one list is the mount table, the
 * order of the documentation and the order of dependency.
 */
export const areas: readonly Area[] = [
  inner('orgs'),
  inner('keys'),
  inner('budgets'),
  inner('policies'),
  inner('catalog'),
  inner('admission'),
  inner('ledger'),
  inner('routing'),
  inner('completions'),
  {
    name: 'docs',
    at: ['/', '/docs', '/openapi.json'],
    errors: 'problem',
    load: () => import('./docs/routes.ts'),
  },
]
