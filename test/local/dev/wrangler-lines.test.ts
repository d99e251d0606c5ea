import { expect, it } from 'vitest'
import { createLineFilter } from '../../../scripts/dev/wrangler-lines.ts'

const noise = [
  'Using secrets defined in .data/generated/gateway/.dev.vars',
  'env.KEY_PEPPER ("(hidden)")     Environment Variable      local',
  '▲ [WARNING] The latest compatibility date is 2026-09-01.',
  '[wrangler:info] POST /v1/chat/completions 200 OK (12ms)',
  '',
]
const error = [
  '✘ [ERROR] Build failed with 1 error:',
  '',
  '  ✘ [ERROR] Expected ";" but found "x"',
  '      src/app.ts:1:3:',
]
const warning = '{"time":"2026-11-21T12:00:00.000Z","level":"warn","event":"node_not_listed"}'
const failure = '{"time":"2026-11-21T12:00:00.000Z","level":"error","event":"request_failed"}'
const info = '{"time":"2026-11-21T12:00:00.000Z","level":"info","event":"started"}'

function shown(lines: readonly string[]): string[] {
  const filter = createLineFilter()
  return lines.map(filter).filter((line) => line !== undefined)
}

it('hides what wrangler says about itself and shows what the Workers warn about, bare', () => {
  const lines = [...noise, `▲ [WARNING] ${warning}`, '', info, `✘ [ERROR] ${failure}`, '', ...noise]
  expect(shown(lines)).toEqual([warning, failure])
})

it('shows an error of wrangler with the lines that belong to it', () => {
  expect(shown([...error, ...noise])).toEqual(error.filter((line) => line !== ''))
})

it('sees through colours', () => {
  const coloured = `\u001b[33m▲ \u001b[43;33m[\u001b[43;30mWARNING\u001b[43;33m]\u001b[0m \u001b[1m${warning}\u001b[0m`
  expect(shown([coloured])).toEqual([warning])
})

it('takes nothing for an entry of the log that only looks like one', () => {
  expect(shown(['{not json', '{"a":1}', 'null', '▲ [WARNING] {oops'])).toEqual([])
})
