import * as z from 'zod'
import { secondsOf } from '../../core/clock.ts'
import type { PublicCtx } from '../../http/route.ts'
import { get } from '../../http/route.ts'
import { metricsText } from './metrics.ts'
import { readiness } from './ready.ts'

const Health = z.object({
  status: z.literal('ok'),
  app_name: z.literal('helix'),
  version: z.string(),
  environment: z.string(),
  timestamp: z.int(),
})

const health = ({ settings, now }: PublicCtx) => ({
  status: 'ok' as const,
  app_name: 'helix' as const,
  version: settings.version,
  environment: settings.environment,
  timestamp: secondsOf(now()),
})

const healthSpec = {
  summary: 'Tell that the gateway is alive',
  description: 'Touches nothing and is always 200.',
  scope: 'public',
  isProbe: true,
  response: Health,
} as const

const readySpec = {
  summary: 'Tell whether the gateway can work',
  description:
    '200 `ready`, 200 `degraded` when something optional fails, 503 `not_ready` when Postgres or every provider is out.',
  scope: 'public',
  isProbe: true,
  raw: ['application/json'],
} as const

const metricsSpec = {
  summary: 'Read the metrics',
  description: 'Prometheus text. The holder of METRICS_TOKEN sees the platform, an API key its own organisation.',
  scope: 'monitoring:read',
  raw: ['text/plain'],
} as const

export const routes = [
  get('/health', healthSpec, health),
  get('/api/v1/health', healthSpec, health),
  get('/ready', readySpec, readiness),
  get('/api/v1/ready', readySpec, readiness),
  get('/metrics', metricsSpec, metricsText),
  get('/api/v1/metrics', metricsSpec, metricsText),
]
