const flags = [
  'html200',
  'empty200',
  'hang',
  'reset',
  'nousage',
  'crlf',
  'comments',
  'bytesplit',
  'wrongmodel',
  'tools',
  'schema',
] as const
const numbers = [
  'status',
  'retry-after',
  'hang-after',
  'cut',
  'cutbytes',
  'eof',
  'malformed',
  'errorevent',
  'slow',
  'delay',
  'pieces',
  'times',
] as const
const texts = ['replay', 'usage'] as const

/** How one request is to be answered. Counts are pieces, `slow` and `delay` milliseconds, `retry-after` seconds. */
export type Script = { [flag in (typeof flags)[number]]?: true } & { [name in (typeof numbers)[number]]?: number } & {
  [name in (typeof texts)[number]]?: string
} & {
  /** The directives as written; undefined for a plain answer. */
  source?: string
}

export const plainScript: Script = {}

const isOneOf = <Name extends string>(names: readonly Name[], name: string): name is Name =>
  names.some((known) => known === name)

/** Reads `cut=3,slow=20`. Throws on a name or value that it does not know, so that a misspelt test cannot pass. */
export function parseScript(source: string): Script {
  const script: Script = { source }
  for (const directive of source.split(',')) {
    const [name = '', value] = directive.split('=')
    if (isOneOf(flags, name) && value === undefined) script[name] = true
    else if (isOneOf(numbers, name) && value !== undefined && /^\d+$/.test(value)) script[name] = Number(value)
    else if (name === 'usage' && value !== undefined && /^\d+\/\d+$/.test(value)) script.usage = value
    else if (name === 'replay' && value !== undefined && /^[\w-]+(\.[\w-]+)*$/.test(value)) script.replay = value
    else throw new Error(`fake vendor: unknown directive ${directive}`)
  }
  return script
}

/** The directives in a message: what follows `fault:` up to white space, without the end of a sentence. */
export function directivesIn(text: string): string | undefined {
  const at = text.lastIndexOf('fault:')
  if (at < 0) return undefined
  return /^[^\s"'<>]+/.exec(text.slice(at + 6))?.[0].replace(/[.;:!?,]+$/, '')
}
