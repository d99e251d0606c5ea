import { createHash } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createBucket } from '../../src/adapters/bucket.ts'

const CHUNK_BYTES = 1000

/** As those of Workers, which Node.js lacks. */
class FixedLengthStream extends TransformStream<Uint8Array, Uint8Array> {
  constructor(_bytes: number) {
    super()
  }
}
class DigestStream extends WritableStream<Uint8Array> {
  readonly digest: Promise<ArrayBuffer>
  constructor() {
    const hash = createHash('sha256')
    const { promise, resolve } = Promise.withResolvers<ArrayBuffer>()
    super({ write: (chunk) => void hash.update(chunk), close: () => resolve(Uint8Array.from(hash.digest()).buffer) })
    this.digest = promise
  }
}

beforeEach(() => {
  vi.stubGlobal('FixedLengthStream', FixedLengthStream)
  Object.assign(crypto, { DigestStream })
})
afterEach(() => {
  vi.unstubAllGlobals()
  Reflect.deleteProperty(crypto, 'DigestStream')
})

/** A body of so many pieces that counts those it was asked for. */
function bodyOf(pieces: number, last: 'ends' | 'breaks off' = 'ends') {
  const read = { pieces: 0, cancelled: false }
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        if (read.pieces === pieces) return last === 'ends' ? controller.close() : controller.error(new Error('gone'))
        read.pieces += 1
        controller.enqueue(new Uint8Array(CHUNK_BYTES).fill(read.pieces))
      },
      cancel: () => {
        read.cancelled = true
      },
    },
    { highWaterMark: 0 },
  )
  return { read, body }
}

type Put = (stream: ReadableStream<Uint8Array>) => Promise<void>

/** Of R2 only what takes a stream. */
const bucketWith = (put: Put) => {
  const refuse = () => Promise.reject(new Error('not here'))
  const take = (_key: string, value: unknown) =>
    value instanceof ReadableStream ? put(value).then(() => null) : refuse()
  return createBucket({ get: refuse, delete: refuse, put: take as unknown as R2Bucket['put'] })
}

describe('a stream into the bucket', () => {
  it('is read no faster than the bucket takes it', async () => {
    const { read, body } = bodyOf(50)
    const taken: Uint8Array[] = []
    let ahead = 0
    const bucket = bucketWith(async (stream) => {
      for await (const piece of stream) {
        taken.push(piece)
        // Whoever reads ahead has long done so by then.
        for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate)
        ahead = Math.max(ahead, read.pieces - taken.length)
      }
    })
    const { sha256 } = await bucket.put('key', { body, sizeBytes: 50 * CHUNK_BYTES })
    expect(ahead).toBeLessThan(5)
    expect(sha256).toBe(createHash('sha256').update(Buffer.concat(taken)).digest('hex'))
    expect(taken).toHaveLength(50)
  })

  it('throws what its sender broke off with', async () => {
    const drain: Put = (stream) => stream.pipeTo(new WritableStream())
    const sizeBytes = 10 * CHUNK_BYTES
    const put = (body: ReadableStream<Uint8Array>) => bucketWith(drain).put('key', { body, sizeBytes })
    await expect(put(bodyOf(3, 'breaks off').body)).rejects.toThrow('gone')
    await expect(put(bodyOf(3).body)).rejects.toThrow('3000 bytes came instead of 10000')
  })

  it('is given up where the bucket does not take it', async () => {
    const { read, body } = bodyOf(50)
    const bucket = bucketWith(async (stream) => {
      await stream.cancel('away')
      throw new Error('away')
    })
    await expect(bucket.put('key', { body, sizeBytes: 50 * CHUNK_BYTES })).rejects.toMatchObject({
      dependency: 'bucket',
    })
    expect(read.cancelled).toBe(true)
  })
})
