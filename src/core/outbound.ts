/**
 * What a request out of this program is for. Only `public` and `account` may go to an address that a caller named, and
 * only behind the guard; the others go to origins that the environment names. `account` is for models: its answers may
 * take as long as their reader waits.
 */
export type OutboundPurpose = 'vendor' | 'node' | 'store' | 'public' | 'account'

export type OutboundRequest = {
  url: string
  purpose: OutboundPurpose
  method?: string
  headers?: Record<string, string>
  body?: string | Uint8Array
  /** In place of `body`: read once, as the other side takes it. Not heard of a `public` request. */
  stream?: ReadableStream<Uint8Array>
  /** Ends the request, its body included. */
  signal?: AbortSignal
  /** From now until the response's headers. The body's pace is the reader's to watch. */
  headersTimeoutMs: number
  /**
   * Whoever asks keeps that time, and ends the request by `signal` with the `OutboundError` that is to be thrown: then
   * nobody waits or listens here, which a call of a model would pay for. Not heard of a `public` request.
   */
  keepsTime?: boolean
  /** Of a `public` request: the response's body may not grow past this; 10 MB unless told. */
  maxBodyBytes?: number
}

/**
 * The one way out. Throws `OutboundError`; a response of any status is an answer, not an error.
 * Redirects: followed for `public` alone, by hand and through the guard.
 */
export type Outbound = (request: OutboundRequest) => Promise<Response>

/** `connect`: nothing of ours reached the other side, or we cannot know that it did not. `blocked`: the guard refused. `unresolved`: the guard could not ask. */
export type OutboundFault = 'blocked' | 'unresolved' | 'connect' | 'timeout' | 'aborted'

export class OutboundError extends Error {
  override readonly name = 'OutboundError'
  readonly fault: OutboundFault

  constructor(fault: OutboundFault, message: string, cause?: unknown) {
    super(message, { cause })
    this.fault = fault
  }
}
