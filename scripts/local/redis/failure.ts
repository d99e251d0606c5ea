/** An error that is answered as `{"error": message}` with this HTTP status. */
export type RequestFailure = Error & { status: number }

export function failure(status: number, message: string): RequestFailure {
  return Object.assign(new Error(message), { status })
}

/** The status and text a client sees for anything thrown while its request was served. */
export function describeFailure(thrown: unknown): { status: number; message: string } {
  if (!(thrown instanceof Error)) return { status: 500, message: 'ERR internal error' }
  if ('status' in thrown && typeof thrown.status === 'number') return { status: thrown.status, message: thrown.message }
  // ioredis gives this name to error replies, whose text is Redis' own ("WRONGTYPE …", "ERR …").
  if (thrown.name === 'ReplyError') return { status: 400, message: thrown.message }
  return { status: 503, message: `ERR Redis did not answer: ${thrown.message}` }
}

/**
 * Settles like `work`, or rejects with a 504 failure after `limitMs`. The work itself goes on: `onTimeout` is where a
 * caller stops it.
 */
export async function withTimeLimit<T>(work: Promise<T>, limitMs: number, onTimeout?: () => void): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      onTimeout?.()
      reject(failure(504, `ERR command did not finish within ${limitMs} ms`))
    }, limitMs)
  })
  try {
    return await Promise.race([work, limit])
  } finally {
    clearTimeout(timer)
  }
}
