import { defineConfig } from 'vitest/config'

/**
 * A machine that runs a change before it lands may be far slower than the one it was written on: there a test gets a
 * second try, and the report says so. Locally, and in the full lane, nothing is tried twice.
 */
const retry = process.env.CI && process.env.HELIX_LANE !== 'full' ? 1 : 0

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/stack/**', 'test/load/**'],
          retry,
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'stack',
          include: ['test/stack/**/*.test.ts'],
          globalSetup: ['test/support/setup/local-stack.ts'],
          retry,
          testTimeout: 60_000,
          hookTimeout: 120_000,
          // Each file runs a workerd of its own: two cores hold one of them well.
          fileParallelism: false,
        },
      },
    ],
  },
})
