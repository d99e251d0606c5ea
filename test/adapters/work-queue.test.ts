import { describe, expect, it } from 'vitest'
import { createBucket } from '../../src/adapters/bucket.ts'
import { createWorkQueue } from '../../src/adapters/work-queue.ts'

const messages = Array.from({ length: 250 }, (_, at) => ({ job_id: `job_${at}`, org_id: 'org_1' }))

describe('the queue of jobs', () => {
  it('is given no more at once than it takes, and all of it in order', async () => {
    const batches: { ids: string[]; delay: number | undefined }[] = []
    const queue = createWorkQueue({
      async sendBatch(batch, { delaySeconds } = {}) {
        batches.push({ ids: [...batch].map(({ body }) => body.job_id), delay: delaySeconds })
      },
    })
    await queue.send(messages, 60)
    expect(batches.map(({ ids, delay }) => [ids.length, delay])).toEqual([
      [100, 60],
      [100, 60],
      [50, 60],
    ])
    expect(batches.flatMap(({ ids }) => ids)).toEqual(messages.map(({ job_id }) => job_id))
  })

  it('fails as what it is when it does not answer, or there is none', async () => {
    const away = createWorkQueue({ sendBatch: () => Promise.reject(new Error('away')) })
    for (const queue of [away, createWorkQueue(undefined)]) {
      await expect(queue.send(messages)).rejects.toMatchObject({ dependency: 'queue' })
    }
  })
})

describe('the bucket', () => {
  it('fails as what it is when it does not answer, or there is none', async () => {
    const fail = () => Promise.reject(new Error('away'))
    const body = new Uint8Array(1)
    for (const bucket of [createBucket({ get: fail, put: fail, delete: fail }), createBucket(undefined)]) {
      await expect(bucket.put('key', { body, sizeBytes: 1 })).rejects.toMatchObject({ dependency: 'bucket' })
      await expect(bucket.get('key')).rejects.toMatchObject({ dependency: 'bucket' })
      await expect(bucket.remove(['key'])).rejects.toMatchObject({ dependency: 'bucket' })
    }
  })
})
