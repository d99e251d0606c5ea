import { DependencyError } from '../core/errors.ts'

const CALL_TIMEOUT_MS = 3000

/**
 * A call of a Durable Object, which may take so much longer as it is to wait there. What the object throws, and its
 * silence, is a `DependencyError` of that name. (Two of these are made for every call of a model, so they are one promise
 * each.)
 */
export function objectCall<T>(
  dependency: DependencyError['dependency'],
  call: () => Promise<T>,
  { waitMs = 0 }: { waitMs?: number } = {},
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const fail = (cause: unknown): void => {
      clearTimeout(timer)
      reject(new DependencyError(dependency, cause))
    }
    const timeoutMs = CALL_TIMEOUT_MS + waitMs
    const silent = () => fail(new Error(`no answer within ${timeoutMs} ms`))
    const timer = setTimeout(silent, timeoutMs)
    try {
      call().then((answer) => {
        clearTimeout(timer)
        resolve(answer)
      }, fail)
    } catch (error) {
      fail(error)
    }
  })
}
