import type { Area } from '../http/route.ts'

/**
 * Every area in rank order: a feature may use only the features above it. The one list is the mount table, the order
 * of the documentation and the order of dependency.
 */
export const areas: readonly Area[] = [
  {
    name: 'docs',
    at: ['/', '/docs', '/openapi.json'],
    errors: 'problem',
    load: () => import('./docs/routes.ts'),
  },
]
