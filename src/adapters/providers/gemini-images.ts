import { UpstreamError } from '../../core/models.ts'
import { type Outbound, OutboundError } from '../../core/outbound.ts'
import type { RemoteImage } from './gemini-parts.ts'
import { inexpressible } from './neutral.ts'

/** Of one image, and of all images of a request together: they pass through this isolate's memory. */
const IMAGES_MAX_BYTES = 20 * 1024 * 1024
const MAX_IMAGES = 32
const HEADERS_MS = 10_000
/** For all images together; a caller who waits for an answer waits for these first. */
const ALL_MS = 30_000
/** A Worker may wait for the headers of six requests at once; name look-ups need some of them. */
const AT_ONCE = 2

export type FetchImages = {
  outbound: Outbound
  signal: AbortSignal
  /** What is left of the call's time. */
  withinMs: number
}

/**
 * Fetches the images that a request names by address, through the guard, and puts type and base64 where they belong.
 * Each address is fetched once. Throws `UpstreamError('status', 400)` with the name of the field when one is not to be
 * had, too large or no image that the vendor takes; `UpstreamError('aborted')` when the caller leaves.
 */
export async function fetchImages(images: readonly RemoteImage[], given: FetchImages): Promise<void> {
  const { outbound, signal, withinMs } = given
  const byUrl = Map.groupBy(images, ({ url }) => url)
  const waiting = [...byUrl.values()]
  const tooMany = waiting[MAX_IMAGES]?.[0]
  if (tooMany) throw inexpressible(`No more than ${MAX_IMAGES} images are fetched for a request.`, tooMany.path)
  let leftBytes = IMAGES_MAX_BYTES
  const stop = new AbortController()
  const leave = () => stop.abort()
  const timer = setTimeout(leave, Math.min(withinMs, ALL_MS))
  if (signal.aborted) leave()
  else signal.addEventListener('abort', leave, { once: true })

  async function fetchNext(): Promise<void> {
    for (let group = waiting.shift(); group !== undefined; group = waiting.shift()) {
      const [first] = group
      if (first === undefined) continue
      const bytes = await bytesOf(first, { outbound, signal: stop.signal })
      leftBytes -= bytes.byteLength
      if (leftBytes < 0) throw inexpressible('The images of this request are larger than 20 MB together.', first.path)
      const data = blobOf(bytes, first.path)
      for (const { blob } of group) Object.assign(blob, data)
    }
  }

  try {
    await Promise.all(Array.from({ length: AT_ONCE }, fetchNext))
  } catch (error) {
    stop.abort()
    throw signal.aborted ? new UpstreamError('aborted', 'The caller ended the request before it was sent.') : error
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', leave)
  }
}

async function bytesOf(
  { url, path }: RemoteImage,
  { outbound, signal }: Pick<FetchImages, 'outbound' | 'signal'>,
): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const response = await outbound({
      url,
      purpose: 'public',
      headers: { accept: 'image/*' },
      signal,
      headersTimeoutMs: HEADERS_MS,
      maxBodyBytes: IMAGES_MAX_BYTES,
    })
    if (response.ok) return new Uint8Array(await response.arrayBuffer())
    await response.body?.cancel().catch(() => undefined)
    throw inexpressible(`The image could not be fetched: its server answered with status ${response.status}.`, path)
  } catch (error) {
    if (error instanceof UpstreamError) throw error
    throw inexpressible(
      `The image could not be fetched. ${error instanceof OutboundError ? guardWords[error.fault] : ''}`.trim(),
      path,
    )
  }
}

/** The guard's own words name hosts and codes; a caller needs to know only what to change. */
const guardWords = {
  blocked: 'Its address may not be called, or what it leads to is too large.',
  unresolved: 'Its host name could not be looked up.',
  connect: 'Its server could not be reached, or broke off.',
  timeout: 'Its server was too slow.',
  aborted: 'There was no time left for it.',
} as const satisfies Record<OutboundError['fault'], string>

function blobOf(bytes: Uint8Array<ArrayBuffer>, path: string): { mimeType: string; data: string } {
  const mimeType = imageType(bytes)
  if (mimeType !== undefined) return { mimeType, data: Buffer.from(bytes.buffer).toString('base64') }
  throw inexpressible('The address does not lead to a PNG, JPEG, WEBP or HEIC image.', path)
}

/** What a file says of itself: a server's `content-type` is only its opinion. */
function imageType(bytes: Uint8Array): string | undefined {
  const start = String.fromCharCode(...bytes.subarray(0, 16))
  if (start.startsWith('\x89PNG\r\n\x1a\n')) return 'image/png'
  if (start.startsWith('\xff\xd8\xff')) return 'image/jpeg'
  if (start.startsWith('RIFF') && start.slice(8, 12) === 'WEBP') return 'image/webp'
  if (start.slice(4, 8) !== 'ftyp') return undefined
  if (/^(heic|heix|hevc|heim|heis)/.test(start.slice(8))) return 'image/heic'
  return /^(mif1|msf1)/.test(start.slice(8)) ? 'image/heif' : undefined
}
