/** An error that is answered as `{"error": message}` with this HTTP status. */
export type RequestFailure = Error & { status: number }

export function failure(status: number, message: string): RequestFailure {
  return Object.assign(new Error(message), { status })
}

/** Whether Redis itself refused the command; the text is its own ("WRONGTYPE …", "ERR …"). ioredis names them so. */
export function isReplyError(thrown: unknown): thrown is Error {
  return thrown instanceof Error && thrown.name === 'ReplyError'
}

/** The status and text a client sees for what was thrown while its request was served; undefined for a bug in here. */
export function describeFailure(thrown: unknown): { status: number; message: string } | undefined {
  if (isReplyError(thrown)) return { status: 400, message: thrown.message }
  if (!(thrown instanceof Error) || !('status' in thrown) || typeof thrown.status !== 'number') return undefined
  return { status: thrown.status, message: thrown.message }
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
