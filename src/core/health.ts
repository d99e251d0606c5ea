/** One look at a provider: whether it listed its models, and how long that took. */
export type HealthCheck = {
  /** Unix milliseconds of its beginning. */
  atMs: number
  isOk: boolean
  latencyMs: number
  /** One word for what went wrong: `timeout`, `connect`, `status_503`; null where nothing did. */
  reason: string | null
}

/** The last looks at a provider of the installation, the oldest first. */
export type ProviderChecks = { name: string; checks: readonly HealthCheck[] }

/** Watches the providers that the environment names, whoever calls them. */
export type HealthMonitor = {
  /**
   * What was found so far; nothing is looked at meanwhile. Being asked keeps it watching for an hour. Throws
   * `DependencyError('health')` when it cannot be reached.
   */
  read(): Promise<readonly ProviderChecks[]>
}
