/** As Ollama's registry has them: `llama3.1`, `library/llama3.1:8b`, `hf.co/user/model:q4_k_m`. */
export const PULL_NAME = /^[a-z0-9._/-]+(?::[\w.-]+)?$/

/** Whether a model may be pulled where these patterns are all that may; null allows every one. Without a tag it is any. */
export const isPullable = (allowed: readonly string[] | null, name: string): boolean =>
  allowed === null ||
  allowed.some((pattern) => matches(pattern, name) || (!pattern.includes(':') && matches(pattern, untagged(name))))

const untagged = (name: string): string => name.replace(/:[^:/]*$/, '')

/** `*` stands for any text. In one pass: an expression with many stars would take for ever on some names. */
function matches(pattern: string, name: string): boolean {
  const [first = '', ...pieces] = pattern.split('*')
  const last = pieces.pop()
  if (last === undefined) return name === first
  if (!name.startsWith(first) || !name.endsWith(last) || name.length < first.length + last.length) return false
  let at = first.length
  for (const piece of pieces) {
    const found = name.indexOf(piece, at)
    if (found === -1) return false
    at = found + piece.length
  }
  return at <= name.length - last.length
}
