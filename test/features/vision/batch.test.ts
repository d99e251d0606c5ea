import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { visionJob } from '../../../src/features/vision/jobs.ts'
import { fakeJobDeps } from '../../support/fake-deps.ts'
import { full } from '../../support/lane.ts'
import { bmpOf, pictureNames } from '../../support/pictures.ts'
import { form, openWorld, PNG, picture, type Team, type VisionWorld } from './world.ts'

let world: VisionWorld
let team: Team

beforeAll(async () => {
  world = await openWorld()
})
afterAll(() => world?.close())
beforeEach(async () => {
  world.node.script({ 'llava:7b': sees })
  world.gateway.heal()
  world.sent.length = 0
  world.queue.length = 0
  team = await world.team()
})

const sees = { capabilities: ['completion', 'vision'] as const, pieces: ['Seen'] }
const model_name = 'llava:7b'
const text = new TextEncoder().encode('This is no picture.')
const three = pictureNames.slice(0, 3).map((name) => picture(name))
type Item = {
  index: number
  filename: string | null
  result: { result: string } | null
  error: { code: string } | null
}
const itemsOf = (body: Record<string, unknown>) => body.results as Item[]
const prompts = () =>
  world.sent.filter(({ path }) => path === '/api/chat').map(({ body }) => JSON.parse(body).messages[0].content)

describe('a batch', () => {
  it('has a result or an error for each picture, in their order', async () => {
    const files = [...three.slice(0, 1), text, ...three.slice(1)]
    const { status, body } = await team.ask('POST', '/batch/analyze', form({ files, model_name, prompts: 'What?' }))
    expect([status, body]).toMatchObject([200, { total_images: 4, successful_analyses: 3, failed_analyses: 1 }])
    expect(
      itemsOf(body).map(({ index, filename, result, error }) => [index, filename, result?.result, error?.code]),
    ).toEqual([
      [0, 'files-0.png', 'Seen', undefined],
      [1, 'files-1.png', undefined, 'unsupported_media_type'],
      [2, 'files-2.png', 'Seen', undefined],
      [3, 'files-3.png', 'Seen', undefined],
    ])
    expect(prompts()).toEqual(['What?', 'What?', 'What?'])
    expect(await world.runs(team.orgId)).toHaveLength(3)
  })

  it('asks of each what is asked of it', async () => {
    const asked = JSON.stringify(['One?', 'Two?', 'Three?'])
    await team.ask('POST', '/batch/analyze', form({ files: three, model_name, prompts: asked }))
    expect(prompts().sort()).toEqual(['One?', 'Three?', 'Two?'])
    const two = await team.ask('POST', '/batch/analyze', form({ files: three, model_name, prompts: '["One?","Two?"]' }))
    expect([two.status, two.text]).toEqual([422, expect.stringContaining('/prompts')])
  })

  it('of more than ten pictures, or of none, is refused', async () => {
    const eleven = Array.from({ length: 11 }, () => PNG)
    expect((await team.ask('POST', '/batch/analyze', form({ files: eleven, model_name }))).status).toBe(422)
    expect((await team.ask('POST', '/batch/analyze', { model_name })).status).toBe(422)
    expect(world.sent.filter(({ path }) => path === '/api/chat')).toEqual([])
  })

  it('that went well nowhere is an error', async () => {
    const { status, body } = await team.ask('POST', '/batch/analyze', form({ files: [text, text], model_name }))
    expect([status, body]).toMatchObject([
      502,
      { code: 'provider_error', errors: [{ code: 'unsupported_media_type' }, { code: 'unsupported_media_type' }] },
    ])
  })

  it.runIf(full())('shows large pictures one after another', async () => {
    const side = 1400
    const files = [0, 40].map((grey) => bmpOf(new Uint8Array(side * side * 3).fill(grey), side))
    world.node.script({ 'llava:7b': { ...sees, firstTokenDelayMs: 30 } })
    let most = 0
    let isOver = false
    const asked = team.ask('POST', '/batch/analyze', form({ files, model_name })).finally(() => {
      isOver = true
    })
    await vi.waitFor(
      () => {
        most = Math.max(most, world.node.activeGenerations())
        expect(isOver).toBe(true)
      },
      { timeout: 60_000, interval: 5 },
    )
    expect((await asked).body).toMatchObject({ successful_analyses: 2 })
    expect(most).toBe(1)
  })

  it('of many pictures is a job, whose row holds none of them', async () => {
    const files = [...three, text, PNG]
    const { status, body } = await team.ask('POST', '/batch/analyze', form({ files, model_name }))
    expect([status, body]).toMatchObject([202, { object: 'job', kind: 'vision.batch', status: 'queued' }])
    expect([...world.files.keys()].filter((key) => key.startsWith(`${team.orgId}/uploads/`))).toHaveLength(5)
    const [row] = (await world.postgres.pool.query('select input::text from jobs where id = $1', [body.id])).rows
    expect(String(row?.input).length).toBeLessThan(2000)
    await world.work()
    const done = await team.ask('GET', `/api/v1/jobs/${body.id}`)
    expect(done.body).toMatchObject({
      status: 'completed',
      progress: 1,
      result: { total_images: 5, successful_analyses: 4, failed_analyses: 1 },
    })
    expect(itemsOf(done.body.result as Record<string, unknown>)[3]).toMatchObject({
      filename: 'files-3.png',
      error: { code: 'unsupported_media_type' },
    })
  })

  it('is a job where its caller would rather not wait', async () => {
    world.pages.set('https://pictures.test/a.png', () => new Response(Buffer.from(PNG)))
    const images = [{ image_url: 'https://pictures.test/a.png', filename: 'mine.png' }]
    const asked = { images, model_name, prompts: ['Well?'] }
    const { status, body } = await team.ask('POST', '/batch/analyze', asked, { prefer: 'respond-async' })
    expect(status).toBe(202)
    await world.work()
    const done = await team.ask('GET', `/api/v1/jobs/${body.id}`)
    expect(done.body).toMatchObject({ status: 'completed', result: { results: [{ filename: 'mine.png' }] } })
    expect(prompts()).toEqual(['Well?'])
  })
})

describe('what is written down of pictures', () => {
  it('is forgotten after 90 days', async () => {
    await team.ask('POST', '/analyze', form({ file: PNG, model_name }))
    const [run] = await world.runs(team.orgId)
    const system = world.postgres.systemDatabase()
    const deps = fakeJobDeps({ system: { query: (statement) => system.query(statement) } })
    const createdMs = Number(run?.created_at) * 1000
    const forget = (dueMs: number) =>
      visionJob.run(deps, { dueMs, deadlineMs: Number.MAX_SAFE_INTEGER, eachOrg: async () => ({ done: 0, failed: 0 }) })
    await forget(createdMs + 90 * 86_400_000)
    expect(await world.runs(team.orgId)).toHaveLength(1)
    await forget(createdMs + 90 * 86_400_000 + 2000)
    expect(await world.runs(team.orgId)).toEqual([])
  })
})
