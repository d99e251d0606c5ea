import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

/** Node compiles programs; the types here are those of Workers, which may not. */
type Compiler = { compile(program: Uint8Array): Promise<WebAssembly.Module> }

let compiled: Promise<WebAssembly.Module> | undefined

/**
 * PGlite's program, one for all engines of this process, whichever thread they run on: the code that V8 has made faster
 * while it served one engine is there for the next, which otherwise starts slowly again.
 * @throws Error when the installed package has no program.
 */
export function engineProgram(): Promise<WebAssembly.Module> {
  compiled ??= compile()
  return compiled
}

async function compile(): Promise<WebAssembly.Module> {
  const folder = dirname(createRequire(import.meta.url).resolve('@electric-sql/pglite'))
  const { compile: compileProgram }: Compiler = WebAssembly as typeof WebAssembly & Compiler
  return compileProgram(await readFile(join(folder, 'pglite.wasm')))
}
