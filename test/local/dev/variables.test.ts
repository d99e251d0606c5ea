import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseEnv as parseVariables } from 'node:util'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readVariables, toVarsFile } from '../../../scripts/dev/variables.ts'
import { variableNames } from '../../../src/env.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'helix-vars-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function write(text: string): Promise<string> {
  const file = join(folder, '.dev.vars')
  await writeFile(file, text)
  return file
}

describe("the user's variables", () => {
  it('come from the file, with comments and quotes', async () => {
    const file = await write(`# mine\nOPENAI_API_KEY=sk-1 # key\nNODE_TOKEN="a b"\nexport GROQ_API_KEY='g#1'\n\n`)
    expect(await readVariables(file, {})).toEqual({ OPENAI_API_KEY: 'sk-1', NODE_TOKEN: 'a b', GROQ_API_KEY: 'g#1' })
  })

  it('come from the environment first, unless it says nothing', async () => {
    const file = await write('OPENAI_API_KEY=file\nGROQ_API_KEY=file\n')
    const environment = { OPENAI_API_KEY: 'shell', GROQ_API_KEY: '', XAI_API_KEY: undefined }
    expect(await readVariables(file, environment)).toEqual({ OPENAI_API_KEY: 'shell', GROQ_API_KEY: 'file' })
  })

  it('treat an empty value in the file as absent', async () => {
    expect(await readVariables(await write('OPENAI_API_KEY=\nGROQ_API_KEY=""\n'), {})).toEqual({})
  })

  it('need no file', async () => {
    expect(await readVariables(join(folder, 'none'), { A: '1' })).toEqual({ A: '1' })
  })

  it('leave the file as it is', async () => {
    const file = await write('A=1\n')
    await readVariables(file, { A: '2' })
    expect(await readFile(file, 'utf8')).toBe('A=1\n')
  })

  it('say which file cannot be read', async () => {
    await expect(readVariables(folder, {})).rejects.toThrow(`${folder} cannot be read`)
  })
})

describe('a generated vars file', () => {
  it('reads back as exactly what was written', () => {
    const value = fc.string({ unit: fc.constantFrom(...'aZ0 #$=\\\'"`{}:/?&%é'), maxLength: 30 })
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom('A', 'B_KEY', 'C1'), value, { noNullPrototype: true }), (variables) => {
        fc.pre(Object.values(variables).every((text) => !(/'/.test(text) && /`/.test(text)) && !text.endsWith('\\')))
        expect(parseVariables(toVarsFile(variables))).toEqual(variables)
      }),
    )
  })

  it('refuses what it could not give back', () => {
    expect(() => toVarsFile({ A: 'two\nlines' })).toThrow('The value of A has a line break')
    expect(() => toVarsFile({ A: 'C:\\' })).toThrow('a backslash at its end')
    expect(() => toVarsFile({ A: `'"\`` })).toThrow('every kind of quote')
    expect(() => toVarsFile({ A: `'\`\\` })).toThrow('every kind of quote')
  })
})

describe('.dev.vars.example', () => {
  it('explains every variable that the Workers and the scripts read, and sets none', async () => {
    const root = join(import.meta.dirname, '../../..')
    const text = await readFile(join(root, '.dev.vars.example'), 'utf8')
    const named = [...text.matchAll(/^# ?([A-Z][A-Z0-9_]+)=/gm)].map(([, name]) => name).sort()
    const ofScripts = ['DATABASE_ADMIN_URL', 'DATABASE_OWNER_URL', 'DATABASE_SYSTEM_URL', 'REDIS_URL']
    expect(named).toEqual([...variableNames(), ...ofScripts].sort())
    expect(parseVariables(text)).toEqual({})
  })
})
