import gateway from '../gateway.ts'

type Jobs = { JOBS: { fetch(url: string): Promise<Response> } }
type Due = { scheduledTime: number; cron: string }

/**
 * The gateway as it is, and the way to the jobs' clock: `wrangler dev` fires no cron by itself, and lets only the Worker
 * that serves HTTP be told of one.
 */
export default {
  ...gateway,
  async scheduled({ scheduledTime, cron }: Due, { JOBS }: Jobs): Promise<void> {
    const query = new URLSearchParams({ cron, time: String(scheduledTime) })
    const { ok, status } = await JOBS.fetch(`http://helix-jobs/?${query}`)
    if (!ok) throw new Error(`The jobs answered with ${status}.`)
  },
}
