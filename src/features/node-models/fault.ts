import { AppError, type ErrorCode } from '../../core/errors.ts'
import { UpstreamError } from '../../core/models.ts'
import type { NodeFault } from '../../core/node.ts'
import { nodeFaultOf } from '../../core/node-fault.ts'
import { OutboundError } from '../../core/outbound.ts'
import { NodeSilence } from '../gates/service.ts'

const codes: Readonly<Record<NodeFault, ErrorCode>> = {
  tunnel_down: 'network_error',
  auth: 'provider_error',
  model_missing: 'model_not_found',
  out_of_memory: 'provider_error',
  timeout: 'upstream_timeout',
  tunnel_silence: 'upstream_timeout',
  bad_output: 'provider_error',
  overloaded: 'model_overloaded',
}

/** What the caller is told of a node that did not do what it was asked for. Whatever is no node's doing is thrown on. */
export function refusedBy(node: string, error: unknown): AppError {
  const fault = faultOf(error)
  if (fault === undefined) throw error
  return new AppError(codes[fault], `${node} did not do it: ${fault}.`, {
    details: { node, class: fault },
    cause: error,
  })
}

function faultOf(error: unknown): NodeFault | undefined {
  if (error instanceof NodeSilence) return error.fault
  if (error instanceof UpstreamError) return nodeFaultOf(error) ?? 'bad_output'
  if (error instanceof OutboundError) return error.fault === 'timeout' ? 'timeout' : 'tunnel_down'
  return undefined
}
