import { afterAll, beforeAll, describe } from 'vitest'
import { findRedisServer } from '../../support/real-redis.ts'
import { type Backend, startEmbeddedBackend, startRealBackend } from './backend.ts'
import { dataContract } from './contract-data.ts'
import { limitContract } from './contract-limits.ts'
import { protocolContract } from './contract-protocol.ts'
import { scriptContract } from './contract-scripts.ts'

const hasServer = findRedisServer() !== undefined

describe('the embedded engine', () => runContract(startEmbeddedBackend))
describe.skipIf(!hasServer)('a real Redis', () => runContract(startRealBackend))

function runContract(start: () => Promise<Backend>): void {
  let running: Backend | undefined
  const backend = (): Backend => {
    if (!running) throw new Error('the backend is not running')
    return running
  }
  beforeAll(async () => {
    running = await start()
  })
  afterAll(async () => running?.stop())
  describe('data', () => dataContract(backend))
  describe('scripts', () => scriptContract(backend))
  describe('rate limits', () => limitContract(backend))
  describe('the REST protocol', () => protocolContract(backend))
}
