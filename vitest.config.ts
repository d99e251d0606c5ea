import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/stack/**', 'test/load/**'],
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'stack',
          include: ['test/stack/**/*.test.ts'],
          globalSetup: ['test/support/setup/local-stack.ts'],
          testTimeout: 60_000,
          hookTimeout: 120_000,
          // Each file runs a workerd of its own: two cores hold one of them well.
          fileParallelism: false,
        },
      },
    ],
  },
})
