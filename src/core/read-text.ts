/** What was read of an answer; `isCut` where there was more of it than anybody honest sends, which is not read. */
export type ReadText = { text: string; isCut: boolean }

/** The text of an answer, and no more of it than so many bytes. Throws what its body throws. */
export async function readText({ body }: Pick<Response, 'body'>, mostBytes: number): Promise<ReadText> {
  if (!body) return { text: '', isCut: false }
  const chunks: Uint8Array[] = []
  let bytes = 0
  const reader = body.getReader()
  for (;;) {
    const { value, done } = await reader.read()
    if (done) return { text: Buffer.concat(chunks).toString('utf8'), isCut: false }
    const left = mostBytes - bytes
    bytes += value.byteLength
    // What fits is kept: the words of an error stand in front, and may all be in one piece.
    chunks.push(bytes > mostBytes ? value.subarray(0, left) : value)
    if (bytes > mostBytes) break
  }
  await reader.cancel().catch(() => undefined)
  return { text: Buffer.concat(chunks).toString('utf8'), isCut: true }
}
