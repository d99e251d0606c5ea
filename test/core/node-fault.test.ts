import { describe, expect, it } from 'vitest'
import { UpstreamError, type UpstreamFault } from '../../src/core/models.ts'
import { nodeFaultOf } from '../../src/core/node-fault.ts'

const failed = (fault: UpstreamFault, status?: number, message?: string) =>
  nodeFaultOf(
    new UpstreamError(fault, 'It failed.', {
      ...(status !== undefined && { status }),
      ...(message !== undefined && { vendor: { message } }),
    }),
  )

describe('what went wrong at a node', () => {
  it.each([
    ['connect', undefined, undefined, 'tunnel_down'],
    ['status', 530, undefined, 'tunnel_down'],
    ['status', 530, 'error code: 1033', 'tunnel_down'],
    ['status', 502, 'Bad gateway', 'tunnel_down'],
    ['status', 521, undefined, 'tunnel_down'],
    ['status', 401, undefined, 'auth'],
    ['status', 403, 'Forbidden', 'auth'],
    ['status', 302, undefined, 'auth'],
    ['status', 404, 'model "llama9" not found, try pulling it first', 'model_missing'],
    ['status', 404, "model 'llama9:8b' not found", 'model_missing'],
    ['status', 404, "Model 'whisper' is not installed locally.", 'model_missing'],
    ['status', 404, '404 page not found', undefined],
    ['status', 500, 'model requires more system memory (9.1 GiB) than is available (3.2 GiB)', 'out_of_memory'],
    ['status', 500, 'llama runner process has terminated: cudaMalloc failed: out of memory', 'out_of_memory'],
    ['status', 500, 'CUDA error: out of memory', 'out_of_memory'],
    ['status', 500, 'something else', undefined],
    ['reported', undefined, 'CUDA error: out of memory', 'out_of_memory'],
    ['reported', undefined, 'an error was encountered', 'bad_output'],
    ['status', 503, 'server busy, please try again.  maximum pending requests exceeded', 'overloaded'],
    ['status', 429, undefined, 'overloaded'],
    ['overloaded', undefined, undefined, 'overloaded'],
    ['status', 524, undefined, 'tunnel_silence'],
    ['status', 504, undefined, 'timeout'],
    ['timeout', undefined, undefined, 'timeout'],
    ['garbage', undefined, undefined, 'bad_output'],
    ['cut', undefined, undefined, 'bad_output'],
    ['aborted', undefined, undefined, undefined],
    ['status', 400, 'invalid image', undefined],
  ] as const)('of %s %s %s is %s', (fault, status, message, expected) => {
    expect(failed(fault, status, message)).toBe(expected)
  })
})
