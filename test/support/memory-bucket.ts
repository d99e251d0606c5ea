import { createHash } from 'node:crypto'
import type { Bucket } from '../../src/core/bucket.ts'

/** A bucket that keeps its files in a map, by key. */
export function memoryBucket(): { bucket: Bucket; files: Map<string, Uint8Array> } {
  const files = new Map<string, Uint8Array>()
  const bucket: Bucket = {
    async put(key, { body, sizeBytes }) {
      const bytes = body instanceof Uint8Array ? body : new Uint8Array(await new Response(body).arrayBuffer())
      if (bytes.length !== sizeBytes) throw new Error(`${bytes.length} bytes came instead of ${sizeBytes}`)
      files.set(key, bytes)
      return { sha256: createHash('sha256').update(bytes).digest('hex') }
    },
    async get(key, part) {
      const whole = files.get(key)
      if (!whole) return undefined
      const bytes = part ? whole.subarray(part.from, part.from + part.bytes) : whole
      return {
        sizeBytes: whole.length,
        stream: () => new Blob([Buffer.from(bytes)]).stream(),
        bytes: async () => bytes,
      }
    },
    async remove(keys) {
      for (const key of keys) files.delete(key)
    },
  }
  return { bucket, files }
}
