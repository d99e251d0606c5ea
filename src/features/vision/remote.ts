import type { Ctx } from '../../core/context.ts'
import { AppError, unfit } from '../../core/errors.ts'
import { OutboundError } from '../../core/outbound.ts'

const HEADERS_MS = 10_000
const ALL_MS = 30_000

/** A guard's own words name hosts and codes; a caller needs to know only what to change. */
const words = {
  blocked: 'may not be called, or leads to something too large',
  unresolved: 'has a host name that could not be looked up',
  connect: 'could not be reached, or broke off',
  timeout: 'was too slow',
  aborted: 'was too slow',
} as const satisfies Record<OutboundError['fault'], string>

/**
 * The bytes behind an address that a caller named, through the guard. Throws 422: `outbound_blocked` for one that may not
 * be called, else `invalid_request`.
 */
export async function fetchPicture(
  { outbound, signal }: Pick<Ctx, 'outbound' | 'signal'>,
  { url, maxBytes, field }: { url: string; maxBytes: number; field: string },
): Promise<{ bytes: Uint8Array; type: string | undefined }> {
  const timeout = AbortSignal.timeout(ALL_MS)
  try {
    const response = await outbound({
      url,
      purpose: 'public',
      headers: { accept: 'image/*' },
      signal: AbortSignal.any([signal, timeout]),
      headersTimeoutMs: HEADERS_MS,
      maxBodyBytes: maxBytes,
    })
    if (response.ok) {
      return { bytes: await response.bytes(), type: response.headers.get('content-type') ?? undefined }
    }
    await response.body?.cancel().catch(() => undefined)
    throw unfit(field, `was answered with status ${response.status}`)
  } catch (error) {
    if (!(error instanceof OutboundError)) throw error
    const detail = words[error.fault]
    if (error.fault !== 'blocked') throw unfit(field, detail)
    throw new AppError('outbound_blocked', `${field}: ${detail}`, { param: field, cause: error })
  }
}
