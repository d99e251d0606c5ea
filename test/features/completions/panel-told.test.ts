import { describe, expect, it } from 'vitest'
import type { PanelCall } from '../../../src/features/completions/panel-call.ts'
import { partsOf } from '../../../src/features/completions/panel-told.ts'
import { NO_USAGE } from '../../../src/features/ledger/service.ts'
import { targetOf } from '../../../src/features/routing/target.ts'
import { provider } from '../routing/world.ts'

const account = {
  id: 'prv_1',
  vendor: undefined,
  models: [],
  maxRetries: 0,
  usable: () => 1,
  readyAtMs: () => undefined,
}
const ours = targetOf(provider('openai'), 'gpt-4o', undefined)
const theirs = targetOf({ ...provider('mine'), account }, 'house', undefined)

function callOf(target: PanelCall['target']): PanelCall {
  const ending = { operation: 'chat', status: 'ok', target, usage: NO_USAGE, estimated: false, attempts: 1 } as const
  return {
    requestId: `req_${target.id}`,
    startedMs: 0,
    endedMs: 1,
    ending: { ...ending, stream: false },
    decision: { attempts: [], failed: [] },
    target,
    completion: { id: 'chatcmpl-1', object: 'chat.completion', created: 1, model: target.model, choices: [] },
    ignored: [],
    outcome: 'ok',
    failures: [],
    costNanoUsd: 0,
  }
}

describe('what a panel books', () => {
  it('is every call that asked its target, and nothing of what a judge thought', () => {
    const members = [ours, theirs].map((target) => {
      const answered = callOf(target)
      return { calls: [answered], answered }
    })
    const unasked = callOf(theirs)
    const helpers = [
      { ...callOf(ours), role: 'judge' as const },
      { ...unasked, ending: { ...unasked.ending, attempts: 0 }, role: 'judge' as const },
    ]
    const parts = partsOf({ members, helpers })
    expect(parts.map(({ requestId }) => requestId)).toEqual([ours, theirs, ours].map(({ id }) => `req_${id}`))
    for (const part of parts) {
      expect(Object.keys(part).sort()).toEqual(['decision', 'endedMs', 'ending', 'requestId', 'startedMs', 'taskType'])
    }
  })
})
