import { afterEach } from 'vitest'
import { type DemoNode, type DemoNodeOptions, startDemoNode } from '../../../scripts/local/demo-node/server.ts'
import { isJsonObject, type JsonObject } from '../../../scripts/local/demo-node/types.ts'

const running: DemoNode[] = []

afterEach(async () => {
  await Promise.all(running.splice(0).map((node) => node.close()))
})

/** A node without delays on a free port; closed after the test. */
export async function startNode(options: DemoNodeOptions = {}): Promise<DemoNode> {
  const node = await startDemoNode({ chunkDelayMs: 0, ...options })
  running.push(node)
  return node
}

export function post(node: DemoNode, path: string, body: unknown, init: RequestInit = {}): Promise<Response> {
  return fetch(node.url + path, { method: 'POST', body: JSON.stringify(body), ...init })
}

export async function asObject(response: Response): Promise<JsonObject> {
  const value: unknown = await response.json()
  if (!isJsonObject(value)) throw new Error(`not an object: ${JSON.stringify(value)}`)
  return value
}

export async function postJson(node: DemoNode, path: string, body: unknown): Promise<JsonObject> {
  return asObject(await post(node, path, body))
}

export function parseLines(text: string): JsonObject[] {
  return text
    .trim()
    .split('\n')
    .map((line): JsonObject => JSON.parse(line))
}

export async function postLines(node: DemoNode, path: string, body: unknown): Promise<JsonObject[]> {
  return parseLines(await (await post(node, path, body)).text())
}

export function ask(content: string, extra: JsonObject = {}): JsonObject {
  return { model: 'llama3.2:3b', messages: [{ role: 'user', content }], ...extra }
}

/** A field of `message`, or undefined. */
export function inMessage(line: JsonObject | undefined, key: string): unknown {
  const message = line?.message
  return isJsonObject(message) ? message[key] : undefined
}

export function joined(lines: readonly JsonObject[], key = 'content'): string {
  return lines.map((line) => String(inMessage(line, key) ?? '')).join('')
}
