import { expect, it } from 'vitest'
import { createLineFilter } from '../../../scripts/dev/wrangler-lines.ts'

const noise = [
  'Using secrets defined in .data/generated/gateway/.dev.vars',
  'env.KEY_PEPPER ("(hidden)")     Environment Variable      local',
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

const shown = (lines: readonly string[]) => lines.filter(createLineFilter())

it('hides what wrangler says about itself and shows what the Workers warn about', () => {
  expect(shown([...noise, warning, info, failure, ...noise])).toEqual([warning, failure])
})

it('shows an error of wrangler with the lines that belong to it', () => {
  expect(shown([...error, ...noise])).toEqual(error.filter((line) => line !== ''))
})

it('sees through colours', () => {
  const coloured = '\u001b[31m✘ \u001b[41m[ERROR]\u001b[0m Uncaught TypeError: x'
  expect(shown([coloured])).toEqual([coloured])
})

it('takes nothing for a log line that only looks like one', () => {
  expect(shown(['{not json', '{"a":1}', 'null'])).toEqual([])
})
