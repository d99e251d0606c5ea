/** Ids of items name the response that they came with, so that a reference needs no list of where items are. */

const RESPONSE = /^resp_([0-9a-z]{26})$/
const ITEM = /^[a-z]+_([0-9a-z]{26})_i?\d{1,5}$/

/** How ids of an item of a kind begin. */
const PREFIX_OF: Readonly<Record<string, string>> = {
  message: 'msg',
  function_call: 'fc',
  function_call_output: 'fco',
  custom_tool_call: 'ctc',
  custom_tool_call_output: 'ctco',
  reasoning: 'rs',
}

type Place = { responseId: string; kind: string; position: number }

/** Of the item at a position of a response's output. */
export const outputItemId = ({ responseId, kind, position }: Place): string =>
  `${PREFIX_OF[kind] ?? 'item'}_${RESPONSE.exec(responseId)?.[1] ?? ''}_${position}`

/** Of the item at a position of what a response was asked with. */
export const inputItemId = ({ responseId, kind, position }: Place): string =>
  `${PREFIX_OF[kind] ?? 'item'}_${RESPONSE.exec(responseId)?.[1] ?? ''}_i${position}`

/** The response that an item came with; undefined for what is no id of ours. */
export function responseOfItem(itemId: string): string | undefined {
  const [, unique] = ITEM.exec(itemId) ?? []
  return unique === undefined ? undefined : `resp_${unique}`
}
