import type { HealthMonitor } from '../core/health.ts'
import { objectCall } from './object-call.ts'

/** The part of a Durable Object namespace that is used here. */
export type HealthNamespace = { getByName(name: string): HealthMonitor }

/** One object watches for the whole installation. */
const NAME = 'platform'

export const createHealth = (namespace: HealthNamespace | undefined): HealthMonitor => ({
  read: () =>
    objectCall('health', () => namespace?.getByName(NAME).read() ?? Promise.reject(new Error('nothing is bound'))),
})
