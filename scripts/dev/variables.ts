import { readFile } from 'node:fs/promises'
import { parseEnv as parseVariables } from 'node:util'

export type Variables = Readonly<Record<string, string>>

/**
 * What the user has set: their `.dev.vars`, and over it the environment of this process. Empty values count as absent.
 * The file is only ever read.
 */
export async function readVariables(file: string, environment: NodeJS.ProcessEnv): Promise<Variables> {
  const fromFile = parseVariables(await readIfThere(file))
  return Object.fromEntries(
    Object.entries({ ...fromFile, ...withoutEmpty(environment) }).filter(
      (entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== '',
    ),
  )
}

/** A variable that is set to nothing in the shell should not hide the one in the file. */
const withoutEmpty = (environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''))

async function readIfThere(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return ''
    throw new Error(`${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`)
  }
}

const QUOTES = ["'", '`', '"']

/**
 * The text of a vars file that reads back as exactly these variables.
 * @throws Error for a value that no quoting can carry.
 */
export function toVarsFile(variables: Variables): string {
  return Object.entries(variables)
    .map(([name, value]) => {
      // Only single and back quotes leave backslashes alone.
      const quote = QUOTES.find((mark) => !value.includes(mark) && !(mark === '"' && value.includes('\\')))
      if (quote === undefined || /[\r\n]|\\$/.test(value)) {
        throw new Error(
          `The value of ${name} has a line break, every kind of quote or a backslash at its end, and cannot be passed on.`,
        )
      }
      return `${name}=${quote}${value}${quote}\n`
    })
    .join('')
}
