/** One job that waits to be done: what a queue carries of it. Everything else is in its row. */
export type WorkMessage = { job_id: string; org_id: string }

/** Where jobs are handed to those who do them. Delivery may fail, come late, or come twice. */
export type WorkQueue = {
  /** @param delaySeconds nobody gets them before. Throws `DependencyError('queue')`. */
  send(messages: readonly WorkMessage[], delaySeconds?: number): Promise<void>
}
