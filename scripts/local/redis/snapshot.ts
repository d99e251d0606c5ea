import { mkdir, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Redis } from 'ioredis'
import { loadSnapshot, saveSnapshot } from './snapshot-file.ts'

/** Keeps a snapshot file close to what the engine holds. */
export type Snapshots = {
  /** Says that a key may have changed: a save follows within the interval. */
  touch(): void
  /** Saves what is still unsaved and stops. */
  close(): Promise<void>
}

export type SnapshotOptions = { client: Redis; file: string; intervalMs: number; log: (message: string) => void }

/**
 * Restores the file if there is one, then saves `intervalMs` after a change. A file that cannot be read is moved aside,
 * never overwritten, and the engine starts empty. The file belongs to one process at a time.
 */
export async function startSnapshots({ client, file, intervalMs, log }: SnapshotOptions): Promise<Snapshots> {
  let changed = false
  let closed = false
  let timer: NodeJS.Timeout | undefined
  let saving: Promise<void> = Promise.resolve()

  await mkdir(dirname(file), { recursive: true })
  await restore({ client, file, log })

  async function saveIfChanged(): Promise<void> {
    if (!changed) return
    changed = false
    try {
      const { skipped } = await saveSnapshot(client, file)
      if (skipped > 0) log(`redis: ${skipped} keys are streams, which the snapshot leaves out`)
    } catch (error) {
      changed = true
      log(`redis: could not save ${file}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }

  function schedule(): void {
    if (timer !== undefined || closed) return
    timer = setTimeout(async () => {
      saving = saveIfChanged()
      await saving
      timer = undefined
      if (changed) schedule()
    }, intervalMs)
    timer.unref()
  }

  return {
    touch() {
      changed = true
      schedule()
    },
    async close() {
      closed = true
      clearTimeout(timer)
      await saving
      await saveIfChanged()
    },
  }
}

async function restore({ client, file, log }: Omit<SnapshotOptions, 'intervalMs'>): Promise<void> {
  try {
    const keys = await loadSnapshot(client, file)
    if (keys > 0) log(`redis: restored ${keys} keys from ${file}`)
  } catch (error) {
    await client.flushall()
    const aside = `${file}.unreadable-${Date.now()}`
    await rename(file, aside)
    const reason = error instanceof Error ? error.message : String(error)
    log(`redis: the snapshot could not be read (${reason}); it is now ${aside} and Redis starts empty`)
  }
}
