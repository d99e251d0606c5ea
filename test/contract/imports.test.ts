import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { areas } from '../../src/features/index.ts'
import { brokenRules, importsOf } from './import-rules.ts'

const root = join(import.meta.dirname, '../..')

const sources = ['src', 'workers'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.gen.ts'))
    .map((name) => {
      const path = `${folder}/${name.replaceAll('\\', '/')}`
      return { path, text: readFileSync(join(root, path), 'utf8') }
    }),
)

const rank = areas.map(({ name }) => name)

describe('the program', () => {
  it('keeps every rule of who may import whom', () => {
    expect(sources.length).toBeGreaterThan(20)
    expect(brokenRules(sources, rank)).toEqual([])
  })

  it('lists each feature once', () => {
    expect(new Set(rank).size).toBe(rank.length)
  })
})

describe('a planted violation', () => {
  const planted: [string, string, string][] = [
    ['src/core/ids.ts', "import { x } from '../http/route.ts'", 'core may not import http'],
    ['src/core/ids.ts', "import type { x } from '../adapters/neon.ts'", 'core may not import adapters'],
    ['src/adapters/neon.ts', "import { x } from '../features/a/table.ts'", 'adapters may not import features'],
    ['src/adapters/neon.ts', "import { Hono } from 'hono'", 'only http and app may use hono'],
    ['src/http/route.ts', "import { x } from '../features/a/service.ts'", 'http may not import features'],
    ['src/features/b/routes.ts', "import { x } from '../../adapters/neon.ts'", 'features may not import adapters'],
    ['src/features/b/routes.ts', "import { x } from '../a/store.ts'", 'only service, table and events of a are shared'],
    ['src/features/a/service.ts', "import { x } from '../b/service.ts'", 'b ranks below a'],
    ['src/features/a/service.ts', "const x = await import('../b/service.ts')", 'b ranks below a'],
    ['src/features/a/service.ts', "import '../b/service.ts'", 'b ranks below a'],
    [
      'src/features/a/service.ts',
      "import { areas } from '../index.ts'",
      'only the last feature may see the list of all',
    ],
    ['src/features/a/service.ts', "export { x } from '../zz/service.ts'", 'zz is not in src/features/index.ts'],
    ['src/features/index.ts', "import { x } from './a/service.ts'", 'the list of features names only their routes'],
    ['src/features/jobs.ts', "import { x } from './a/service.ts'", 'the list of jobs names only those of features'],
    ['src/features/work.ts', "import { x } from './a/routes.ts'", 'the list of work names only that of features'],
    ['src/jobs.ts', "import { x } from './deps.ts'", 'jobs may not import deps'],
    [
      'src/features/b/service.ts',
      "import { Redis } from '@upstash/redis/cloudflare'",
      'only adapters may use @upstash/redis/cloudflare',
    ],
    ['src/env.ts', "import { x } from './deps.ts'", 'env may not import deps'],
    ['src/deps.ts', "import { x } from './features/a/service.ts'", 'deps may not import features'],
    ['src/app.ts', "import {\n  x,\n} from './adapters/neon.ts'", 'app may not import adapters'],
    ['src/features/a/service.ts', 'const x = await fetch(url)', 'only the outbound adapter may call it'],
    ['src/features/a/service.ts', 'const x = await globalThis.fetch(url)', 'only the outbound adapter may call it'],
  ]

  it.each(planted)('in %s is caught: %s', (path, text, rule) => {
    const found = brokenRules([{ path, text: `${text}\n` }], ['a', 'b', 'c'])
    expect(found).toHaveLength(1)
    expect(found[0]).toContain(rule)
    expect(found[0]).toContain(path)
  })

  it('as a folder that no list names is caught', () => {
    expect(brokenRules([{ path: 'src/features/zz/table.ts', text: '' }], ['a'])).toHaveLength(1)
  })
})

describe('what is allowed', () => {
  const fine: [string, string][] = [
    ['src/features/b/routes.ts', "import { x } from '../a/service.ts'\nimport { y } from './store.ts'"],
    ['src/features/b/table.ts', "import { x } from '../a/table.ts'"],
    ['src/features/c/routes.ts', "import { areas } from '../index.ts'"],
    ['src/features/jobs.ts', "import { aJobs } from './a/jobs.ts'"],
    ['src/features/work.ts', "import { aWork } from './a/work.ts'"],
    ['src/features/index.ts', "const load = () => import('./a/routes.ts')"],
    ['src/features/a/service.ts', '// fetch(url)\ntype A = { fetch(request: Request): void }\nassets.fetch(request)'],
    ['src/adapters/outbound.ts', 'await fetch(url)'],
    ['workers/gateway.ts', "import { DurableObject } from 'cloudflare:workers'\nimport { x } from '../src/deps.ts'"],
  ]

  it.each(fine)('in %s: %s', (path, text) => {
    expect(brokenRules([{ path, text }], ['a', 'b', 'c'])).toEqual([])
  })

  it('is told from every form of import', () => {
    const text = `import a from './a.ts'\nimport './b.ts'\nexport * from "./c.ts"\nimport type { d } from './d.ts'\nlet e = import('./e.ts')`
    expect(importsOf(text)).toEqual(['./a.ts', './b.ts', './c.ts', './d.ts', './e.ts'])
  })
})
