import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openStateFolder } from '../../../scripts/dev/data-folder.ts'

let path: string
beforeEach(async () => {
  path = join(await mkdtemp(join(tmpdir(), 'helix-state-')), 'data')
})
afterEach(() => rm(join(path, '..'), { recursive: true, force: true }))

/** What a second start would find. */
async function reopen(options = { fresh: false }) {
  const folder = await openStateFolder(path, options)
  await folder.release()
  return folder
}

describe('the state folder', () => {
  it('keeps secrets and key over a restart, for the user alone', async () => {
    const first = await openStateFolder(path, { fresh: false })
    await first.rememberKey('hx_live_1')
    await first.release()
    expect((await reopen()).secrets).toEqual({ ...first.secrets, apiKey: 'hx_live_1' })
    expect((await stat(join(path, 'secrets.json'))).mode & 0o777).toBe(0o600)
    expect(first.secrets.keyPepper.length).toBeGreaterThanOrEqual(32)
  })

  it('starts over when told to, and touches nothing that is not its own', async () => {
    const { secrets } = await reopen()
    await mkdir(join(path, 'postgres'))
    await writeFile(join(path, 'postgres/PG_VERSION'), '18')
    await writeFile(join(path, 'mine.txt'), 'mine')
    const again = await reopen({ fresh: true })
    expect(again.secrets.keyPepper).not.toBe(secrets.keyPepper)
    expect(await readdir(path)).toEqual(['mine.txt', 'secrets.json'])
  })

  it('belongs to one process at a time, even for one that would start over', async () => {
    const first = await openStateFolder(path, { fresh: false })
    const message = `The state of the local stack in ${path} is in use by this process (pid ${process.pid})`
    await expect(openStateFolder(path, { fresh: true })).rejects.toThrow(message)
    expect(JSON.parse(await readFile(join(path, 'secrets.json'), 'utf8'))).toEqual(first.secrets)
    await first.release()
  })

  it.each(['{', '{}', '[]'])('says what to do about damaged secrets: %s', async (text) => {
    await mkdir(path, { recursive: true })
    await writeFile(join(path, 'secrets.json'), text)
    await expect(reopen()).rejects.toThrow('secrets.json is damaged: restore it, or start over with')
    expect((await reopen({ fresh: true })).secrets.redisToken).not.toBe('')
  })

  it('says so when it cannot be a folder', async () => {
    await writeFile(path, 'a file')
    await expect(reopen()).rejects.toThrow(`${path} cannot hold the state of the local stack`)
  })
})
