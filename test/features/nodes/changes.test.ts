import { describe, expect, it } from 'vitest'
import type { Database } from '../../../src/core/db.ts'
import { DependencyError } from '../../../src/core/errors.ts'
import { newId } from '../../../src/core/ids.ts'
import { deleteNode, patchNode } from '../../../src/features/nodes/changes.ts'
import { idleGate } from '../../support/gateway.ts'
import { useWorld } from '../job-queue/world.ts'

const world = useWorld()

/** A node of an organisation, and a view of it in which somebody else changes it as soon as it was read. */
async function changedMeanwhile(change: string) {
  const { orgId, keyId } = await world.org()
  const id = newId('node', Date.now())
  await world.query(
    `insert into nodes (id, org_id, name, base_url, limits, allowed_pulls, created_at, updated_at)
      values ($1, $2, 'gpu', 'https://gpu.example.com', '{"chat": 2, "gpu_tasks": 3}', '["llama3*"]', 1, 1)`,
    [id, orgId],
  )
  // Others are told of a change there.
  const away = () => Promise.reject(new DependencyError('redis', new Error('away')))
  const { deps, ctxOf } = world.isolate({ redis: { pipeline: async () => [], run: away } })
  let isRead = false
  const atomically: Database['atomically'] = async (org, build) => {
    const results = await deps.db.atomically(org, build)
    if (!isRead && change !== '') await world.query(`update nodes set ${change} where id = $1`, [id])
    isRead = true
    return results
  }
  const forgotten: string[] = []
  const ctx = { ...ctxOf({ orgId, keyId }), db: { ...deps.db, atomically } }
  const gateOf = (told: string) => ({ ...idleGate, forget: async () => void forgotten.push(told) })
  return {
    ctx: { ...ctx, gateOf },
    id,
    forgotten,
    row: async () => (await world.query('select * from nodes where id = $1', [id]))[0],
  }
}

describe('two who change a node at the same time', () => {
  it.each([
    ['drain = true', { drain: true }],
    [`limits = '{"chat": 1}'`, { limits: { chat: 1 } }],
    ['allowed_pulls = null', { allowed_pulls: null }],
    ['priority = 7', { priority: 7 }],
  ])('do not undo what the other did: %s', async (change, left) => {
    const { ctx, id, row } = await changedMeanwhile(change)
    await expect(patchNode(ctx, id, { name: 'other' })).rejects.toMatchObject({ code: 'conflict' })
    expect(await row()).toMatchObject({ name: 'gpu', ...left })
  })

  it('is nobody where it was not changed', async () => {
    const { ctx, id, row } = await changedMeanwhile('')
    await patchNode(ctx, id, { drain: true, limits: { vision: 1 } })
    expect(await row()).toMatchObject({ drain: true, priority: 50, limits: { chat: 2, gpu_tasks: 3, vision: 1 } })
  })
})

describe('a node that is deleted', () => {
  it('is forgotten by its watch, too, and is gone where that cannot be reached', async () => {
    const known = await changedMeanwhile('')
    await deleteNode(known.ctx, known.id)
    expect(known.forgotten).toEqual([known.id])
    const { ctx, id, row } = await changedMeanwhile('')
    const forget = () => Promise.reject(new DependencyError('gate', new Error('away')))
    await deleteNode({ ...ctx, gateOf: () => ({ ...idleGate, forget }) }, id)
    expect(await row()).toMatchObject({ credential: null, enabled: false })
  })
})
