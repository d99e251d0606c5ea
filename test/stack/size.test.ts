import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import baseline from '../../scripts/bench/baseline.json' with { type: 'json' }
import { gzipBytes } from '../../scripts/bench/build.ts'
import { pathGzipBytes } from '../../scripts/bench/path-size.ts'

const root = join(import.meta.dirname, '../..')
/** What the path of a call evaluates. */
const MAX_PATH_BYTES = 250_000
/** With every area's own, which only its first request evaluates; Cloudflare takes 3 MB on its smallest plan. */
const MAX_GATEWAY_BYTES = 600_000
/** A release may not grow by more than this without a commit that says so. */
const MAX_GROWTH = 1.1

const built = (file: string) => join(root, '.build', file)

describe('the gateway as it is uploaded', () => {
  const bytes = () => gzipBytes(readFileSync(built('gateway/gateway.js')))

  it('evaluates no more than 250 kB, compressed, to answer calls of models', async () => {
    expect(await pathGzipBytes()).toBeLessThanOrEqual(MAX_PATH_BYTES)
  })

  it('is no larger than 600 kB, compressed', () => {
    expect(bytes()).toBeLessThanOrEqual(MAX_GATEWAY_BYTES)
  })

  it('has not grown by a tenth since its size was last recorded', () => {
    expect(bytes()).toBeLessThanOrEqual(baseline.gatewayGzipBytes * MAX_GROWTH)
  })
})

describe('the jobs Worker as it is uploaded', () => {
  it('has not grown by a tenth since its size was last recorded', () => {
    expect(gzipBytes(readFileSync(built('jobs/index.js')))).toBeLessThanOrEqual(baseline.jobsGzipBytes * MAX_GROWTH)
  })
})
