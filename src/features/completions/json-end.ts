/** Follows JSON text through its fragments. */
export type JsonEnd = {
  push(fragment: string): void
  /** Whether what has come so far is one whole object or array. */
  isWhole(): boolean
}

/** Looks for the end of an object in arguments that come piece by piece, without keeping them. */
export function createJsonEnd(): JsonEnd {
  let depth = 0
  let hasBegun = false
  let isText = false
  let isEscaped = false

  const take = (sign: string): void => {
    if (isText) {
      if (isEscaped) isEscaped = false
      else if (sign === '\\') isEscaped = true
      else if (sign === '"') isText = false
    } else if (sign === '"') isText = true
    else if (sign === '{' || sign === '[') {
      hasBegun = true
      depth += 1
    } else if (sign === '}' || sign === ']') depth -= 1
  }

  return {
    push(fragment) {
      for (const sign of fragment) take(sign)
    },
    isWhole: () => hasBegun && depth <= 0 && !isText,
  }
}
