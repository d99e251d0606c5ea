export type StoredFile = {
  sizeBytes: number
  /** One of the two, once. */
  stream(): ReadableStream<Uint8Array>
  bytes(): Promise<Uint8Array>
}

/** Of a file: so many bytes from a place on, fewer where it ends before. */
export type FilePart = { from: number; bytes: number }

export type NewFile = {
  body: ReadableStream<Uint8Array> | Uint8Array
  /** Exactly as many. */
  sizeBytes: number
  contentType?: string | undefined
}

/**
 * Files that are too large for a row. Keys begin with the id of the organisation. Everything here throws
 * `DependencyError('bucket')` when the bucket does not answer, or there is none.
 */
export type Bucket = {
  /**
   * Keeps a file in place of what was there; there is all of it or nothing. A stream is never held in memory; what
   * it breaks off with is thrown.
   * @returns its SHA-256 in hexadecimal
   */
  put(key: string, file: NewFile): Promise<{ sha256: string }>
  /** All of it, or a part; `sizeBytes` is of the whole file. Undefined where there is none. */
  get(key: string, part?: FilePart): Promise<StoredFile | undefined>
  /** At most a thousand; those that are not there are no error. */
  remove(keys: readonly string[]): Promise<void>
}
