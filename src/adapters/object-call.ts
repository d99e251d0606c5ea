import { DependencyError } from '../core/errors.ts'

const CALL_TIMEOUT_MS = 3000

/**
 * A call of a Durable Object. What the object throws, and its silence, is a `DependencyError` of that name. (Two of
 * these are made for every call of a model, so they are one promise each.)
 */
export function objectCall<T>(dependency: DependencyError['dependency'], call: () => Promise<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const fail = (cause: unknown): void => {
      clearTimeout(timer)
      reject(new DependencyError(dependency, cause))
    }
    const silent = () => fail(new Error(`no answer within ${CALL_TIMEOUT_MS} ms`))
    const timer = setTimeout(silent, CALL_TIMEOUT_MS)
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
