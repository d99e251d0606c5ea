/** What the Messages interface takes as the id of a tool's use: https://platform.claude.com/docs/en/api/messages */
const ALLOWED = /^[a-zA-Z0-9_-]+$/
/** Anthropic refuses longer ones. */
const MOST_CHARS = 64
/** Begins ids that were written in other characters. */
const WRITTEN = 'hxid_'

/** A vendor's id of a tool call as an Anthropic client may send it on to Anthropic; `vendorIdOf` takes it back. */
export function blockIdOf(vendorId: string): string {
  if (ALLOWED.test(vendorId) && !vendorId.startsWith(WRITTEN)) return vendorId
  return WRITTEN + Buffer.from(vendorId, 'utf8').toString('base64url')
}

/** Whether Anthropic would take it. */
export const isBlockId = (id: string): boolean => ALLOWED.test(id) && id.length <= MOST_CHARS

/** The id that the vendor gave, for a history that goes back to it. */
export function vendorIdOf(blockId: string): string {
  if (!blockId.startsWith(WRITTEN)) return blockId
  const vendorId = Buffer.from(blockId.slice(WRITTEN.length), 'base64url').toString('utf8')
  return blockIdOf(vendorId) === blockId ? vendorId : blockId
}
