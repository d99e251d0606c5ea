import type { UpstreamError } from './models.ts'
import type { NodeFault } from './node.ts'

/** Ollama and CUDA have many words for a card or a machine that is full; most come with a 500. */
const OUT_OF_MEMORY =
  /out of memory|requires more system memory|insufficient (?:v?ram|memory)|cudaMalloc|CUBLAS_STATUS_ALLOC_FAILED|CUDA error: .*alloc/i
/** `model "x" not found, try pulling it first`, and speech servers' `Model 'x' is not installed locally`. */
const MODEL_MISSING = /model\b.{0,300}\b(?:not found|not installed|try pulling)/is
/** Ollama's own queue is full. */
const BUSY = /server busy|maximum pending requests/i
/** What cloudflared, or Cloudflare before it, answers where nothing listens behind the tunnel. */
const isTunnel = (status: number): boolean => status === 502 || status === 530 || (status >= 520 && status <= 523)

/**
 * What went wrong at a node, in the words of its watch and of its statistics. Undefined where the node is not to blame: a
 * caller's own mistake, a call that was ended, and a fault of its own that has no name.
 */
export function nodeFaultOf({ fault, status = 0, vendor }: UpstreamError): NodeFault | undefined {
  const words = vendor?.message ?? ''
  switch (fault) {
    case 'connect':
      return 'tunnel_down'
    case 'timeout':
      return 'timeout'
    case 'overloaded':
      return 'overloaded'
    case 'garbage':
    case 'cut':
      return 'bad_output'
    case 'reported':
      return faultInWords(words) ?? 'bad_output'
    case 'aborted':
      return undefined
    case 'status':
      return faultOfStatus(status, words)
  }
}

const faultInWords = (words: string): NodeFault | undefined => {
  if (OUT_OF_MEMORY.test(words)) return 'out_of_memory'
  if (BUSY.test(words)) return 'overloaded'
  return MODEL_MISSING.test(words) ? 'model_missing' : undefined
}

function faultOfStatus(status: number, words: string): NodeFault | undefined {
  if (status === 401 || status === 403 || (status >= 300 && status < 400)) return 'auth'
  if (status === 404) return MODEL_MISSING.test(words) ? 'model_missing' : undefined
  if (status === 524) return 'tunnel_silence'
  if (status === 408 || status === 504) return 'timeout'
  if (status === 429) return 'overloaded'
  // Error 1033 of Cloudflare: no cloudflared is connected.
  if (isTunnel(status) || /\b1033\b/.test(words)) return 'tunnel_down'
  if (status < 500) return undefined
  return faultInWords(words) ?? (status === 503 ? 'overloaded' : undefined)
}
