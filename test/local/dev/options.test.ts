import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { isNewEnough } from '../../../scripts/dev/node-version.mjs'
import { readOptions } from '../../../scripts/dev/options.ts'

describe('the options of npm run dev', () => {
  it('have defaults that need no thought', () => {
    expect(readOptions([])).toEqual({
      json: false,
      port: 8787,
      fresh: false,
      dataFolder: resolve(import.meta.dirname, '../../../.data'),
      varsFile: resolve(import.meta.dirname, '../../../.dev.vars'),
      verbose: false,
      help: false,
    })
  })

  it('are all understood', () => {
    const args = ['--json', '--port', '0', '--fresh', '--data', '/tmp/x', '--vars', '/tmp/y', '--verbose', '--help']
    expect(readOptions(args)).toEqual({
      json: true,
      port: 0,
      fresh: true,
      dataFolder: '/tmp/x',
      varsFile: '/tmp/y',
      verbose: true,
      help: true,
    })
  })

  it.each(['http', '-1', '65536', '80.5', ''])('refuse the port %j', (port) => {
    expect(() => readOptions([`--port=${port}`])).toThrow('--port takes a number from 0 to 65535')
  })

  it('refuse what they do not know', () => {
    expect(() => readOptions(['--fesh'])).toThrow('--fesh')
    expect(() => readOptions(['fresh'])).toThrow('fresh')
  })
})

describe('the Node version', () => {
  it.each(['v22.18.0', 'v22.23.2', 'v23.6.0', 'v24.0.0', 'v26.1.0'])('%s is new enough', (version) => {
    expect(isNewEnough(version)).toBe(true)
  })

  it.each(['v18.20.0', 'v20.20.2', 'v22.12.0', 'v22.17.9', 'v23.5.0'])('%s is too old', (version) => {
    expect(isNewEnough(version)).toBe(false)
  })
})
