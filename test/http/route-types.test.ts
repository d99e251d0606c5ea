import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')

/** What every snippet begins with. */
const prelude = `import * as z from 'zod'
import { get, post } from '${root}/src/http/route.ts'
export const open = { summary: '', scope: 'public' } as const
export const closed = { summary: '', scope: 'tools:read' } as const
export const Id = z.object({ id: z.string() })
export const methods = { get, post }
`

const wrong: readonly [what: string, snippet: string][] = [
  ['a reply that does not fit the response schema', `get('/a', { ...open, response: Id }, () => ({ id: 1 }))`],
  ['a declared response that is left out', `get('/a', { ...open, response: Id }, () => undefined)`],
  ['a response that was not declared', `get('/a', open, () => ({ id: 'a' }))`],
  ['a parameter that was not declared', `get('/a/:id', open, (_ctx, { params }) => void params.id)`],
  ['a field that the query does not have', `get('/a', { ...open, query: Id }, (_ctx, { query }) => void query.name)`],
  [
    'a field of the body as another type',
    `post('/a', { ...open, body: Id }, (_ctx, { body }) => void body.id.toFixed())`,
  ],
  ['a caller of a public route', `get('/a', open, ({ caller }) => void caller.orgId)`],
  ['a scope that ends in neither read nor write', `get('/a', { summary: '', scope: 'tools:manage' }, () => undefined)`],
  ['a scope of no area', `get('/a', { summary: '', scope: 'things:read' }, () => undefined)`],
  ['a route that does not say what it does', `get('/a', { scope: 'public' }, () => undefined)`],
  [
    'a price estimate from a field as another type',
    `post('/a', { ...closed, body: Id, ask: (_deps, _policy, body) => ({ tokens: body.id, candidates: [] }) }, () => undefined)`,
  ],
]

const right: readonly [what: string, snippet: string][] = [
  [
    'everything that was declared',
    `get('/a/:id', { ...closed, params: Id, query: Id, response: Id }, async ({ caller }, { params, query }) => ({
  id: caller.orgId + params.id + query.id,
}))`,
  ],
  [
    'a response of the handler’s own making',
    `post('/a', { ...closed, body: Id, response: Id }, (_ctx, { body }) => (body.id === '' ? new Response() : body))`,
  ],
  [
    'a field that the schema fills in',
    `get('/a', { ...open, response: z.object({ at: z.string().default('now') }) }, () => ({}))`,
  ],
]

const fileOf = (kind: string, index: number) => `${kind}-${index}.ts`

/** The compiler's complaints by the name of the file; each snippet is a file, so that one does not hide another. */
async function compile(folder: string): Promise<Map<string, string[]>> {
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const output = await new Promise<string>((resolve) => {
    execFile(process.execPath, [tsc, '--noEmit', '--pretty', 'false', '-p', folder], { cwd: root }, (_error, stdout) =>
      resolve(stdout),
    )
  })
  const complaints = new Map<string, string[]>()
  for (const [, file = '', code = ''] of output.matchAll(/([\w-]+\.ts)\(\d+,\d+\): error (TS\d+)/g)) {
    complaints.set(file, [...(complaints.get(file) ?? []), code])
  }
  return complaints
}

describe('the types of a route', () => {
  let folder = ''
  let complaints: Map<string, string[]>

  beforeAll(async () => {
    await mkdir(join(root, '.build'), { recursive: true })
    folder = await mkdtemp(join(root, '.build/route-types-'))
    const snippets = [
      ...wrong.map(([, snippet], index) => [fileOf('wrong', index), snippet] as const),
      ...right.map(([, snippet], index) => [fileOf('right', index), snippet] as const),
    ]
    await Promise.all([
      ...snippets.map(([file, snippet]) => writeFile(join(folder, file), `${prelude}${snippet}\n`)),
      writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ extends: '../../tsconfig.json', include: ['*.ts'] })),
    ])
    complaints = await compile(folder)
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  it.each(wrong.map(([what], index) => [what, index] as const))('do not let %s through', (_what, index) => {
    // Mistakes of types, and what may be undefined (18048); anything else would be a mistake of this test.
    expect(complaints.get(fileOf('wrong', index)) ?? []).toContainEqual(expect.stringMatching(/^TS(2\d{3}|18048)$/))
  })

  it.each(right.map(([what], index) => [what, index] as const))('let %s through', (_what, index) => {
    expect(complaints.get(fileOf('right', index))).toBeUndefined()
  })
})
