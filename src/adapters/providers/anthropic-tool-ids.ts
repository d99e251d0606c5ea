/** What the vendor takes as the id of a tool call; each may occur once in a conversation. */
const ACCEPTED = /^[a-zA-Z0-9_-]{1,64}$/
const OURS = 'hx_tool_'

export type ToolIds = {
  /** An id for the call that begins here. */
  call(given: string | undefined): string
  /** The id of the latest call that its caller knows under this name. */
  result(given: string): string
  /** The caller's id for one that was sent. */
  given(sent: string): string
}

/**
 * Ids of tool calls in one conversation. Those that the vendor would refuse, for their characters, their length, or
 * because other vendors count anew in every turn, are numbered in the order in which they appear: a conversation that
 * grows keeps the ids of its beginning, and with them the cached prefix of its prompt.
 */
export function createToolIds(): ToolIds {
  const sentOf = new Map<string, string>()
  const givenOf = new Map<string, string>()

  function call(given: string | undefined): string {
    const isUsable = given !== undefined && ACCEPTED.test(given) && !given.startsWith(OURS) && !givenOf.has(given)
    const sent = isUsable ? given : `${OURS}${givenOf.size + 1}`
    givenOf.set(sent, given ?? sent)
    if (given !== undefined) sentOf.set(given, sent)
    return sent
  }

  return {
    call,
    result: (given) => sentOf.get(given) ?? call(given),
    given: (sent) => givenOf.get(sent) ?? sent,
  }
}
