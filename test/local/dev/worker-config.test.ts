import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { relocate, writeWorkerConfigs } from '../../../scripts/dev/worker-config.ts'

const root = resolve(import.meta.dirname, '../../..')
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'helix-config-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

describe('a relocated configuration', () => {
  it('names its files absolutely and leaves everything else alone', () => {
    const toml = [
      'name = "helix"',
      "main = 'workers/gateway.ts'",
      '[assets]',
      '  directory = ".build/assets" # static',
      'binding = "ASSETS"',
      '[[durable_objects.bindings]]',
      'name = "LEDGER"',
    ].join('\n')
    expect(relocate(toml, '/app').split('\n')).toEqual([
      'name = "helix"',
      'main = "/app/workers/gateway.ts"',
      '[assets]',
      '  directory = "/app/.build/assets"',
      'binding = "ASSETS"',
      '[[durable_objects.bindings]]',
      'name = "LEDGER"',
    ])
  })

  it('takes a path only for one where it is one', () => {
    expect(relocate('[vars]\nmain = "hello"\ndirectory = "x"', '/app')).toBe('[vars]\nmain = "hello"\ndirectory = "x"')
  })

  it('has no build step', () => {
    expect(relocate('a = 1\n[build]\ncommand = "x"\n[assets]\nb = 2', '/app')).toBe('a = 1\n[assets]\nb = 2')
  })
})

describe('the generated files', () => {
  it('give both Workers the same variables, for the user alone', async () => {
    const configs = await writeWorkerConfigs(folder, { A: 'one', B: "it's" })
    expect(configs).toEqual([join(folder, 'gateway/wrangler.toml'), join(folder, 'jobs/wrangler.toml')])
    const [gateway, jobs] = await Promise.all(configs.map((config) => readFile(config, 'utf8')))
    expect(gateway).toContain(`main = "${root}/workers/local/gateway.ts"`)
    expect(jobs).toContain(`main = "${root}/workers/local/jobs.ts"`)
    expect(jobs).toContain('name = "helix-jobs"')
    expect(gateway).toContain('binding = "JOBS"\nservice = "helix-jobs"')
    for (const name of ['gateway', 'jobs']) {
      const file = join(folder, name, '.dev.vars')
      expect(await readFile(file, 'utf8')).toBe("A='one'\nB=`it's`\n")
      expect((await stat(file)).mode & 0o777).toBe(0o600)
    }
  })

  it('give the jobs alone what is for them', async () => {
    await writeWorkerConfigs(folder, { A: 'one' }, { DATABASE_SYSTEM_URL: 'postgres://system' })
    const [gateway, jobs] = await Promise.all(
      ['gateway', 'jobs'].map((name) => readFile(join(folder, name, '.dev.vars'), 'utf8')),
    )
    expect(gateway).toBe("A='one'\n")
    expect(jobs).toBe("A='one'\nDATABASE_SYSTEM_URL='postgres://system'\n")
  })
})
