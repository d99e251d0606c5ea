import { AppError } from '../../core/errors.ts'
import type { UpstreamError } from '../../core/models.ts'
import type { NodeCapability } from '../../core/node.ts'
import { nodeFaultOf } from '../../core/node-fault.ts'
import { reasonOf } from '../routing/service.ts'

const RETRY_SECONDS = 5

type About = { capability: NodeCapability; attempted: readonly { target: string; reason: string }[] }

/** What a caller is told of a node that failed: what kind of failure, and none of the node's own words. */
export function failureOf(error: UpstreamError, { capability, attempted }: About): AppError {
  const fault = nodeFaultOf(error)
  const details = { attempted, capability, ...(fault && { fault }) }
  const about = { cause: error, details }
  const { status = 0, retryAfterMs } = error
  if (error.fault === 'aborted')
    return new AppError('provider_error', 'The request was ended before its answer.', about)
  const retryAfterSeconds = retryAfterMs === undefined ? undefined : Math.max(1, Math.ceil(retryAfterMs / 1000))
  switch (fault) {
    case 'overloaded':
      return new AppError('model_overloaded', 'The nodes that could do this have as much to do as they take.', {
        ...about,
        retryAfterSeconds: retryAfterSeconds ?? 1,
      })
    case 'tunnel_down':
    case 'model_missing':
      return new AppError('no_capable_model', `No node that is able to do this answers now: ${capability}.`, {
        ...about,
        retryAfterSeconds: RETRY_SECONDS,
      })
    case 'timeout':
    case 'tunnel_silence':
      return new AppError('upstream_timeout', 'The node did not answer in time.', about)
  }
  if (status === 415 && capability !== 'speech') {
    return new AppError('unsupported_media_type', 'The node cannot read this kind of sound.', about)
  }
  if (status === 413) return new AppError('payload_too_large', 'The node takes no file of this size.', about)
  if (status >= 400 && status < 500 && fault === undefined) {
    const what =
      capability === 'speech' ? 'the voice (GET /v1/audio/voices lists them) or another value' : 'a value, or the file'
    return new AppError('invalid_request', `The node does not take what was asked of it: ${what}.`, about)
  }
  return new AppError('provider_error', `The node failed: ${fault ?? reasonOf(error)}.`, about)
}

/** Whether another node may do better, where nothing was given out yet. */
export function isWorthAnother(error: UpstreamError): boolean {
  if (error.fault === 'aborted' || error.fault === 'timeout') return false
  return nodeFaultOf(error) !== undefined || (error.status ?? 0) >= 500
}
