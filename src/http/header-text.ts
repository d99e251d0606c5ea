const MAX_CHARS = 1000

/** Any text as a header's value: what a header cannot carry is percent-encoded, and what is too long is cut. */
export function headerText(text: string): string {
  const safe = text.replace(/[^\x21-\x7e]+/g, (run) => encodeURIComponent(run.toWellFormed()))
  return safe.length > MAX_CHARS ? `${safe.slice(0, MAX_CHARS)}...` : safe
}
