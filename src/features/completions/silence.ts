/** A vendor that is silent for this long gets its caller a response that begins with comments. */
const SILENCE_MS = 10_000

/** What is waited for, or that it has been too long. */
export async function withinSilence<T>(answering: Promise<T>): Promise<T | 'silent'> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const silence = new Promise<'silent'>((resolve) => {
    timer = setTimeout(() => resolve('silent'), SILENCE_MS)
  })
  return Promise.race([answering, silence]).finally(() => clearTimeout(timer))
}
