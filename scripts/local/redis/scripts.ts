import { createHash } from 'node:crypto'
import type { Argument, Command } from './commands.ts'

/** A command ready to send; `mapReply` undoes what preparing changed and the caller must not see. */
export type PreparedCommand = Command & { mapReply?: (reply: unknown) => unknown }

export type ScriptRewriter = { prepare(command: Command): PreparedCommand }

const MAX_REMEMBERED_SCRIPTS = 1_000

/** Flags that Redis 7 and Valkey 8 accept in a script's first line. They refuse a script with any other. */
const KNOWN_FLAGS = new Set(['no-writes', 'allow-oom', 'allow-stale', 'no-cluster', 'allow-cross-slot-keys'])

/**
 * The embedded engine stops a runaway script by raising a Lua error, which `pcall` in a loop would catch for ever. These
 * stand-ins let that one error through. They stay on the script's first line, so line numbers do not change.
 */
const UNCATCHABLE_LIMIT =
  'local pcall,xpcall=(function(p,x) ' +
  'local function limit(e) return string.find(tostring(e),"killed by fuel limit",1,true) end ' +
  'local function check(ok,e,...) if not ok and limit(e) then error(e,0) end return ok,e,... end ' +
  'return function(...) return check(p(...)) end,' +
  'function(f,h,...) return check(x(f,function(e) if limit(e) then return e end return h(e) end,...)) end ' +
  'end)(pcall,xpcall) '

/** The text a Redis or Valkey server accepts: flags it does not know leave the first line, the lines keep their numbers. */
export function rewriteForServer(source: string): string {
  const firstLine = /^#![^\n]*/.exec(source)?.[0]
  const flags = firstLine === undefined ? undefined : /\bflags=(\S*)/.exec(firstLine)?.[1]?.split(',')
  if (firstLine === undefined || flags === undefined || flags.every((flag) => KNOWN_FLAGS.has(flag))) return source
  const kept = flags.filter((flag) => KNOWN_FLAGS.has(flag))
  return (kept.length === 0 ? '--' : `#!lua flags=${kept.join(',')}`) + source.slice(firstLine.length)
}

/** The text the embedded engine accepts: it knows no `#!` line at all, and `pcall` must not catch its stop. */
export function rewriteForEmbedded(source: string): string {
  const text = source.replace(/^#![^\n]*/, '--')
  if (!/(?<![.\w])x?pcall\b/.test(text)) return text
  return UNCATCHABLE_LIMIT + text
}

/**
 * Rewrites script texts on their way to Redis and keeps the caller's SHA-1 working for EVALSHA, SCRIPT LOAD and SCRIPT
 * EXISTS. A forgotten SHA is harmless: Redis answers NOSCRIPT and clients then send the text.
 */
export function createScriptRewriter(
  rewrite: (source: string) => string,
  maxRemembered = MAX_REMEMBERED_SCRIPTS,
): ScriptRewriter {
  const sentShaByCallerSha = new Map<string, string>()

  function remember(callerSha: string, sentSha: string): void {
    sentShaByCallerSha.delete(callerSha)
    sentShaByCallerSha.set(callerSha, sentSha)
    const oldest = sentShaByCallerSha.keys().next().value
    if (sentShaByCallerSha.size > maxRemembered && oldest !== undefined) sentShaByCallerSha.delete(oldest)
  }

  function sentSha(sha: Argument): Argument {
    const callerSha = sha.toString().toLowerCase()
    const known = sentShaByCallerSha.get(callerSha)
    if (known === undefined) return sha
    remember(callerSha, known)
    return known
  }

  function withText(command: Command, position: number): PreparedCommand {
    const source = command.args[position]
    if (source === undefined) return command
    // latin1 keeps one character per byte, so a script with any bytes in its strings survives.
    const bytes = Buffer.from(source)
    const before = bytes.toString('latin1')
    const after = rewrite(before)
    if (after === before) return command
    const text = Buffer.from(after, 'latin1')
    const callerSha = sha1(bytes)
    remember(callerSha, sha1(text))
    const prepared = { name: command.name, args: command.args.with(position, text) }
    return position === 0 ? prepared : { ...prepared, mapReply: () => Buffer.from(callerSha) }
  }

  return {
    prepare(command) {
      const [first, ...rest] = command.args
      if (command.name === 'EVAL' || command.name === 'EVAL_RO') return withText(command, 0)
      if (first === undefined) return command
      if (command.name === 'EVALSHA' || command.name === 'EVALSHA_RO') {
        return { name: command.name, args: [sentSha(first), ...rest] }
      }
      if (command.name !== 'SCRIPT') return command
      const action = first.toString().toUpperCase()
      if (action === 'LOAD') return withText(command, 1)
      return action === 'EXISTS' ? { name: 'SCRIPT', args: [first, ...rest.map(sentSha)] } : command
    },
  }
}

function sha1(bytes: Buffer): string {
  return createHash('sha1').update(bytes).digest('hex')
}
