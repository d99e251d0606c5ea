const LIMIT_MS = 60_000
const ANSWER_LIMIT_MS = 10_000
const POLL_MS = 100

/** Waits until the gateway says that it can work. @throws Error with what it last said, or what ended it */
export async function untilReady(origin: string, ended: Promise<string>): Promise<void> {
  const deadline = Date.now() + LIMIT_MS
  let end: string | undefined
  void ended.then((sentence) => {
    end = sentence
  })
  let said = 'nothing'
  while (Date.now() < deadline) {
    if (end !== undefined) throw new Error(end)
    try {
      const response = await fetch(`${origin}/ready`, { signal: AbortSignal.timeout(ANSWER_LIMIT_MS) })
      if (response.ok) return
      said = await response.text()
    } catch (error) {
      said = error instanceof Error ? error.message : String(error)
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
  throw new Error(`The gateway is not ready after ${LIMIT_MS / 1000} s. ${origin}/ready says: ${said}`)
}
