import * as z from 'zod'
import type { Ctx } from '../../core/context.ts'
import { UpstreamError } from '../../core/models.ts'
import { formBody } from './form.ts'
import type { Session } from './session.ts'
import type { GivenSound } from './sound-input.ts'

/** What the agent of a node measures of the samples themselves. */
export const Measures = z.object({
  duration_ms: z.number().min(0),
  speech_share: z.number().min(0).max(1),
  loudness_lufs: z.number().nullish(),
  tempo_bpm: z.number().nullish(),
  key: z.string().max(32).nullish(),
  prosody: z
    .object({
      pitch_mean_hz: z.number().nullish(),
      pitch_range_hz: z.number().nullish(),
      energy_db: z.number().nullish(),
      pauses_per_minute: z.number().nullish(),
    })
    .nullish(),
})
export type Measures = z.output<typeof Measures>

/** Undefined where the node has no agent, or one that cannot read this kind of sound. Throws `UpstreamError` for whom the caller left. */
export async function measure(ctx: Ctx, session: Session, { file }: GivenSound): Promise<Measures | undefined> {
  if (!session.link.endpoints.agentUrl) return undefined
  const { contentType, ...sent } = formBody(file, {})
  const headers = { 'content-type': contentType, accept: 'application/json' }
  try {
    const asked = { server: 'agent', method: 'POST', path: '/v1/audio/measure', headers, ...sent } as const
    return await session.askJson(asked, Measures)
  } catch (error) {
    if (!(error instanceof UpstreamError) || error.fault === 'aborted' || error.fault === 'timeout') throw error
    ctx.log.info('sound_not_measured', { request_id: ctx.requestId, fault: error.fault, status: error.status })
    return undefined
  }
}
