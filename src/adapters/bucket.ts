import type { Bucket } from '../core/bucket.ts'
import { DependencyError } from '../core/errors.ts'

/** The part of an R2 bucket that is used here. */
export type BucketBinding = Pick<R2Bucket, 'get' | 'put' | 'delete'>

/** What was to be kept came to no end: nothing that the bucket could help. */
class BrokenOff {
  readonly reason: unknown

  constructor(reason: unknown) {
    this.reason = reason
  }
}

/** Files in R2. Without a binding nothing can be kept. */
export function createBucket(bound: BucketBinding | undefined): Bucket {
  const answered = async <T>(work: (bucket: BucketBinding) => Promise<T>): Promise<T> => {
    try {
      if (!bound) throw new Error('nothing is bound')
      return await work(bound)
    } catch (cause) {
      throw cause instanceof BrokenOff ? cause.reason : new DependencyError('bucket', cause)
    }
  }
  return {
    put: (key, { body, sizeBytes, contentType }) =>
      answered(async (bucket) => {
        const options = contentType === undefined ? {} : { httpMetadata: { contentType } }
        if (body instanceof Uint8Array) {
          const [digest] = await Promise.all([crypto.subtle.digest('SHA-256', body), bucket.put(key, body, options)])
          return { sha256: hex(digest) }
        }
        // R2 must be told how much is coming, and a file that breaks off is none.
        const whole = new FixedLengthStream(sizeBytes)
        const read = digesting(body, sizeBytes)
        const [piped, kept] = await Promise.allSettled([
          read.stream.pipeTo(whole.writable),
          bucket.put(key, whole.readable, options),
        ])
        const brokenOff = read.brokenOff()
        if (brokenOff) throw brokenOff
        for (const part of [kept, piped]) if (part.status === 'rejected') throw part.reason
        return { sha256: hex(await read.digest) }
      }),

    get: (key, part) =>
      answered(async (bucket) => {
        const found = await bucket.get(key, part ? { range: { offset: part.from, length: part.bytes } } : {})
        if (!found) return undefined
        return {
          sizeBytes: found.size,
          stream: () => found.body,
          bytes: async () => new Uint8Array(await found.arrayBuffer()),
        }
      }),

    remove: (keys) => answered(async (bucket) => bucket.delete([...keys])),
  }
}

/**
 * A body whose digest is taken as it passes. A piece is read only once the one before it was taken: two branches of a
 * `tee` would hold whatever one of them has not read yet.
 */
function digesting(body: ReadableStream<Uint8Array>, sizeBytes: number) {
  const hash = new crypto.DigestStream('SHA-256')
  const [reader, writer] = [body.getReader(), hash.getWriter()]
  let cameBytes = 0
  let brokenOff: BrokenOff | undefined
  const next = async () => {
    try {
      const piece = await reader.read()
      if (piece.done && cameBytes < sizeBytes) throw new Error(`${cameBytes} bytes came instead of ${sizeBytes}`)
      return piece
    } catch (reason) {
      brokenOff = new BrokenOff(reason)
      throw reason
    }
  }
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await next()
        if (done) {
          await writer.close()
          return controller.close()
        }
        cameBytes += value.byteLength
        await writer.write(value)
        controller.enqueue(value)
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  )
  return { stream, digest: hash.digest, brokenOff: () => brokenOff }
}

const hex = (digest: ArrayBuffer): string => Buffer.from(digest).toString('hex')
