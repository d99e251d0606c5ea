import { expect, it } from 'vitest'
import { readChecks } from '../../../src/features/health/service.ts'
import { fakeDeps } from '../../support/fake-deps.ts'

it('asks the monitor once a second, however many ask while it takes its time', async () => {
  let nowMs = 1_800_000_000_000
  let reads = 0
  const asked = Promise.withResolvers<never[]>()
  const read = () => (++reads === 1 ? Promise.resolve([]) : asked.promise)
  const deps = fakeDeps({ health: { read }, now: () => nowMs })
  await readChecks(deps)
  nowMs += 1001
  const answers = Promise.all([readChecks(deps), readChecks(deps), readChecks(deps)])
  asked.resolve([])
  await answers
  expect(reads).toBe(2)
})
