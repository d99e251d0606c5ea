import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { chooseNode, type NodeChoice, type NodeWishes } from '../../../scripts/dev/node-choice.ts'

/** Nothing listens on this port: only root could, and no one does. */
const NOBODY = 'http://127.0.0.1:1'

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()))
})

async function choose(wishes: NodeWishes): Promise<NodeChoice> {
  const choice = await chooseNode({ usualUrl: NOBODY, ...wishes })
  closers.push(choice.close)
  return choice
}

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closers.push(
    () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  )
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** An Ollama that answers each path with a fixed value. */
const ollama = (answers: Record<string, unknown>, seen: string[] = []) =>
  serve((request, response) => {
    const answer = answers[request.url ?? '']
    seen.push(`${request.url} ${request.headers.authorization ?? ''}`.trim())
    response.statusCode = answer === undefined ? 404 : 200
    response.end(JSON.stringify(answer ?? {}))
  })

const version = { '/api/version': { version: '0.32.15' } }

describe('the node of a run', () => {
  it('is the demo node when nothing else answers', async () => {
    const choice = await choose({ wantedUrl: undefined })
    expect(choice).toMatchObject({ kind: 'demo', model: 'llama3.2:3b' })
    expect(choice.reason).toContain('no Ollama found')
    const urls = [`${choice.url}/api/version`, `${choice.speechUrl}/health`, `${choice.agentUrl}/metrics`]
    expect(await Promise.all(urls.map(async (url) => (await fetch(url)).status))).toEqual([200, 200, 200])
  })

  it('is the one that the user names, with its first model that can chat', async () => {
    const models = [
      { name: 'nomic-embed-text:latest', capabilities: ['embedding'] },
      { name: 'qwen3:8b', capabilities: ['completion', 'tools'] },
    ]
    const seen: string[] = []
    const url = await ollama({ ...version, '/api/tags': { models } }, seen)
    expect(await choose({ wantedUrl: `${url}/`, token: 'secret' })).toMatchObject({
      kind: 'ollama',
      url,
      model: 'qwen3:8b',
    })
    expect(seen).toEqual(['/api/version Bearer secret', '/api/tags Bearer secret'])
  })

  it('is asked model by model when its list has no capabilities', async () => {
    const models = [{ name: 'gemma4:e2b' }]
    const show = { '/api/show': { capabilities: ['completion'] } }
    const url = await ollama({ ...version, '/api/tags': { models }, ...show })
    expect((await choose({ wantedUrl: url })).model).toBe('gemma4:e2b')
  })

  it('is the one on the usual port when nobody names another, and gets no token', async () => {
    const seen: string[] = []
    const url = await ollama({ ...version, '/api/tags': { models: [] } }, seen)
    const choice = await choose({ wantedUrl: undefined, usualUrl: url, token: 'secret' })
    expect(choice).toMatchObject({ kind: 'ollama', url, model: undefined })
    expect(seen).toEqual(['/api/version', '/api/tags'])
  })

  it('says so when the named one does not answer', async () => {
    const choice = await choose({ wantedUrl: NOBODY })
    expect(choice.kind).toBe('demo')
    expect(choice.reason).toContain(`nothing answers at OLLAMA_BASE_URL (${NOBODY})`)
  })

  it('is never another program that happens to listen there', async () => {
    const url = await serve((_request, response) => void response.end('<html>hello</html>'))
    expect((await choose({ wantedUrl: url })).kind).toBe('demo')
  })
})
