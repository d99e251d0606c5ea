import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config'
import { LongestFirst } from './test/support/setup/longest-first.ts'

/**
 * A machine that runs a change before it lands may be far slower than the one it was written on: there a test gets a
 * second try, and the report says so. Locally, and in the full lane, nothing is tried twice.
 */
const retry = process.env.CI && process.env.HELIX_LANE !== 'full' ? 1 : 0

const unit = {
  name: 'unit',
  include: ['test/**/*.test.ts'],
  exclude: ['test/stack/**', 'test/load/**'],
  globalSetup: ['test/support/setup/snapshot.ts'],
  retry,
  // These run in the time that the stack's tests leave: what takes a second may take long.
  testTimeout: 60_000,
  hookTimeout: 180_000,
}

/**
 * Timers, clocks and globals that a file replaces for a while. Sockets that are opened then wait for clocks that stand:
 * such files may follow each other in one process, for they open none, but no others may.
 */
const fakesItsClock = /\bvi\.(useFakeTimers|setSystemTime|stub\w+)\b/

/** Modules and settings that stay changed in a process, such as those of the Postgres driver, which are one for all. */
const changesItsProcess = /\bvi\.(mock|doMock|hoisted|resetModules)\b|\bneonConfig\b|\bprocess\.(env\.\w+ = |chdir)/

type TestFile = { path: string; text: string }

/** With the texts of what it imports of `test/`, each once. */
function wholeTextOf(path: string, seen = new Set<string>()): string {
  if (seen.has(path) || !existsSync(path)) return ''
  seen.add(path)
  const text = readFileSync(path, 'utf8')
  const imported = [...text.matchAll(/ from '(\.[^']+\.ts)'/g)].map(([, to = '']) => join(dirname(path), to))
  const helpers = imported.filter((to) => to.startsWith('test'))
  return [text, ...helpers.map((to) => wholeTextOf(to, seen))].join('\n')
}

/** By default each file has a process of its own. */
function unitProjects(): TestProjectInlineConfiguration[] {
  if (process.env.HELIX_TEST_PROCESSES !== 'shared') return [{ test: unit }]
  const files = globSync(unit.include).map((path) => ({
    path: path.replaceAll('\\', '/'),
    text: readFileSync(path, 'utf8'),
  }))
  const isApart = ({ path, text }: TestFile) => path.startsWith('test/local/postgres/') || changesItsProcess.test(text)
  const apart = files.filter(isApart).map(({ path }) => path)
  const isOfClocks = (file: TestFile) => fakesItsClock.test(wholeTextOf(file.path)) && !isApart(file)
  const clocks = files.filter(isOfClocks).map(({ path }) => path)
  return [
    // Most of the time of a small file is the start of a process and the loading of the modules that all files need.
    {
      test: {
        ...unit,
        isolate: false,
        exclude: [...unit.exclude, ...apart, ...clocks],
        setupFiles: 'test/support/setup/shared-process.ts',
        provide: { sharesProcess: true },
      },
    },
    { test: { ...unit, name: 'unit-clocks', isolate: false, include: clocks } },
    { test: { ...unit, name: 'unit-apart', include: apart } },
  ]
}

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    projects: [
      ...unitProjects(),
      {
        test: {
          name: 'stack',
          include: ['test/stack/**/*.test.ts'],
          globalSetup: ['test/support/setup/local-stack.ts'],
          retry,
          testTimeout: 60_000,
          hookTimeout: 120_000,
          // Each file runs a workerd of its own, and waits more than it works: two cores hold two of them well.
          maxWorkers: 2,
          isolate: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
})
