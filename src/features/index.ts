import type { Area } from '../http/route.ts'

/**
 * Every area in rank order: a feature may use only the features above it. The one list is the mount table, the order
 * of the documentation and the order of dependency. Areas without paths serve no one but other areas.
 */
export const areas: readonly Area[] = [
  area('records'),
  area('orgs'),
  { name: 'audit', at: ['/api/v1/audit'], errors: 'problem', load: () => import('./audit/routes.ts') },
  {
    name: 'encryption',
    at: ['/api/v1/encryption'],
    errors: 'problem',
    load: () => import('./encryption/routes.ts'),
  },
  area('passwords'),
  area('users'),
  { name: 'keys', at: ['/api/v1/keys'], errors: 'problem', load: () => import('./keys/routes.ts') },
  { name: 'signing', at: ['/.well-known'], errors: 'problem', load: () => import('./signing/routes.ts') },
  area('sessions'),
  area('catalog'),
  area('subjects'),
  { name: 'limits', at: ['/api/v1/limits'], errors: 'problem', load: () => import('./limits/routes.ts') },
  area('providers'),
  area('gates'),
  area('nodes'),
  area('media'),
  { name: 'budgets', at: ['/api/v1/budgets'], errors: 'problem', load: () => import('./budgets/routes.ts') },
  {
    name: 'routing-rules',
    tag: 'routing',
    at: ['/api/v1/routing/policies', '/api/v1/routing/models'],
    errors: 'problem',
    load: () => import('./routing-rules/routes.ts'),
  },
  {
    name: 'ensembles',
    at: ['/api/v1/ensemble', '/api/v1/admin/ensemble'],
    errors: 'problem',
    load: () => import('./ensembles/routes.ts'),
  },
  area('policies'),
  area('admission'),
  area('idempotency'),
  area('ledger'),
  area('job-queue'),
  area('uploads'),
  { name: 'decisions', at: ['/v1/decisions'], errors: 'openai', load: () => import('./decisions/routes.ts') },
  {
    name: 'decision-list',
    tag: 'decisions',
    at: ['/api/v1/decisions'],
    errors: 'problem',
    load: async () => ({ routes: (await import('./decisions/routes.ts')).listRoutes }),
  },
  { name: 'requests', at: ['/api/v1/requests'], errors: 'problem', load: () => import('./requests/routes.ts') },
  { name: 'usage', at: ['/api/v1/usage'], errors: 'problem', load: () => import('./usage/routes.ts') },
  {
    name: 'routing',
    at: ['/api/v1/routing/replay', '/api/v1/routing/stats', '/api/v1/routing/breakers'],
    errors: 'problem',
    load: () => import('./routing/routes.ts'),
  },
  { name: 'accounts', at: ['/api/v1/providers'], errors: 'problem', load: () => import('./accounts/routes.ts') },
  area('signatures'),
  {
    name: 'health',
    at: ['/v1/providers', '/v1/health'],
    errors: 'openai',
    load: () => import('./health/routes.ts'),
  },
  { name: 'cache', at: ['/api/v1/cache'], errors: 'problem', load: () => import('./cache/routes.ts') },
  { name: 'models', at: ['/v1/models'], errors: 'openai', load: () => import('./models/routes.ts') },
  area('node-models'),
  {
    name: 'completions',
    at: ['/v1/chat', '/v1/completions', '/v1/ensemble'],
    errors: 'openai',
    load: () => import('./completions/routes.ts'),
  },
  {
    name: 'explain',
    tag: 'routing',
    at: ['/api/v1/routing/explain', '/api/v1/routing/classify'],
    errors: 'problem',
    load: () => import('./explain/routes.ts'),
  },
  { name: 'messages', at: ['/v1/messages'], errors: 'anthropic', load: () => import('./messages/routes.ts') },
  { name: 'embeddings', at: ['/v1/embeddings'], errors: 'openai', load: () => import('./embeddings/routes.ts') },
  { name: 'responses', at: ['/v1/responses'], errors: 'openai', load: () => import('./responses/routes.ts') },
  area('calls'),
  area('spaces'),
  area('semantic'),
  area('vision'),
  area('audio'),
  { name: 'secrets', at: ['/api/v1/secrets'], errors: 'problem', load: () => import('./secrets/routes.ts') },
  { name: 'oidc', at: ['/api/v1/oidc-providers'], errors: 'problem', load: () => import('./oidc/routes.ts') },
  {
    name: 'members',
    at: ['/api/v1/org', '/api/v1/orgs', '/api/v1/members', '/api/v1/invitations', '/api/v1/users'],
    errors: 'problem',
    load: () => import('./members/routes.ts'),
  },
  { name: 'auth', at: ['/api/v1/auth'], errors: 'problem', load: () => import('./auth/routes.ts') },
  { name: 'admin', at: ['/api/v1/admin'], errors: 'problem', load: () => import('./admin/routes.ts') },
  {
    name: 'monitoring',
    at: ['/health', '/ready', '/metrics', '/api/v1/health', '/api/v1/ready', '/api/v1/metrics'],
    errors: 'problem',
    load: () => import('./monitoring/routes.ts'),
  },
  { name: 'docs', at: ['/', '/docs', '/openapi.json'], errors: 'problem', load: () => import('./docs/routes.ts') },
]

/** A feature that has a rank but no endpoint of its own yet. */
function area(name: string): Area {
  return { name, at: [], errors: 'problem', load: async () => ({ routes: [] }) }
}
