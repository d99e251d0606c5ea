const registryPrefix = 'registry.ollama.ai/'
const libraryPrefix = 'library/'
const validName = /^(?:[a-z0-9._-]+\/)?[a-z0-9_][a-z0-9._-]*(?::[a-z0-9_][a-z0-9._-]*)?$/i

/**
 * The short form under which a model is listed: default host and namespace dropped, `:latest` added when the tag is
 * missing. Undefined when the text is no model name.
 */
export function canonicalName(name: string): string | undefined {
  let short = name.startsWith(registryPrefix) ? name.slice(registryPrefix.length) : name
  if (short.startsWith(libraryPrefix)) short = short.slice(libraryPrefix.length)
  if (short.length > 200 || !validName.test(short)) return undefined
  return short.includes(':') ? short : `${short}:latest`
}

/** `registry.ollama.ai/library/llama3.2:3b`: the form that capability errors carry. */
export function qualifiedName(name: string): string {
  return registryPrefix + (name.includes('/') ? name : libraryPrefix + name)
}
