import jobs from '../jobs/index.ts'

export * from '../jobs/index.ts'

type Env = Parameters<typeof jobs.scheduled>[1]

/** The jobs Worker as it is, but that it can be asked for what it does by the clock: by the gateway's entry alone. */
export default {
  ...jobs,
  async fetch(request: Request, env: Env): Promise<Response> {
    const { searchParams } = new URL(request.url)
    const scheduledTime = Number(searchParams.get('time'))
    await jobs.scheduled({ scheduledTime, cron: searchParams.get('cron') ?? '' }, env)
    return new Response('done\n')
  },
}
