import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { readBody, readJson } from './body.ts'
import { demoDigest, genericModel, type ModelSpec } from './catalog.ts'
import { httpFailure, isHttpFailure, nativeError } from './failures.ts'
import { canonicalName } from './names.ts'
import { createRequest, modelRequest } from './requests.ts'
import { openBody, sendEmpty, sendJson } from './responses.ts'
import type { Exchange, JsonObject } from './types.ts'

const downloadSteps = 8

type Progress = { status: string } & JsonObject

/** Streams status lines, or with `stream: false` answers with the last one; a thrown failure becomes the last line. */
async function sendProgress(exchange: Exchange, stream: boolean, steps: Iterable<Progress>): Promise<void> {
  const { response, signal, node } = exchange
  const body = openBody(response, 'application/x-ndjson', undefined)
  let last: Progress | undefined
  try {
    for (const step of steps) {
      if (stream && last && node.chunkDelayMs > 0) await sleep(node.chunkDelayMs, undefined, { signal })
      last = step
      if (stream) await body.write(`${JSON.stringify(step)}\n`)
    }
  } catch (error) {
    if (!isHttpFailure(error) || !body.started()) throw error
    await body.write(`${JSON.stringify(nativeError(error.message))}\n`)
  }
  if (stream) body.end()
  else sendJson(response, 200, last ?? {})
}

function* layerSteps(model: ModelSpec, layer: string, total: number): Generator<Progress> {
  const digest = demoDigest(`${model.name} ${layer}`)
  const head = { status: `pulling ${digest.slice(0, 12)}`, digest: `sha256:${digest}`, total }
  yield head
  const steps = layer === 'weights' ? downloadSteps : 1
  for (let step = 1; step <= steps; step += 1) yield { ...head, completed: Math.floor((total * step) / steps) }
}

function* pullSteps(exchange: Exchange, name: string): Generator<Progress> {
  const { catalog, nowMs } = exchange.node
  yield { status: 'pulling manifest' }
  const model = catalog.findRemote(name)
  if (!model) throw httpFailure(500, 'pull model manifest: file does not exist')
  yield* layerSteps(model, 'weights', model.sizeBytes)
  yield* layerSteps(model, 'template', 1429)
  yield* layerSteps(model, 'config', 485)
  yield { status: 'verifying sha256 digest' }
  yield { status: 'writing manifest' }
  catalog.install({ ...model, modifiedAtMs: nowMs() })
  yield { status: 'success' }
}

/** `POST /api/pull`: knows a few names; nothing is downloaded. */
export async function handlePull(exchange: Exchange): Promise<void> {
  const body = await readJson(exchange, 'PullRequest', modelRequest)
  const name = canonicalName(body.model || body.name || '')
  if (name === undefined) throw httpFailure(400, 'invalid model name')
  await sendProgress(exchange, body.stream ?? true, pullSteps(exchange, name))
}

function* pushSteps(exchange: Exchange, asked: string): Generator<Progress> {
  yield { status: 'retrieving manifest' }
  if (!exchange.node.catalog.find(asked)) throw httpFailure(500, "couldn't retrieve manifest")
  throw httpFailure(500, 'you are not authorized to push to this namespace, create the model under a namespace you own')
}

/** `POST /api/push`: always refused, as for a user who owns no namespace. */
export async function handlePush(exchange: Exchange): Promise<void> {
  const body = await readJson(exchange, 'PushRequest', modelRequest)
  const asked = body.model || body.name || ''
  if (asked === '') throw httpFailure(400, 'model is required')
  await sendProgress(exchange, body.stream ?? true, pushSteps(exchange, asked))
}

function* createSteps(exchange: Exchange, model: ModelSpec): Generator<Progress> {
  yield { status: `using existing layer sha256:${demoDigest(`${model.parentModel || model.name} weights`)}` }
  yield { status: 'writing manifest' }
  exchange.node.catalog.install(model)
  yield { status: 'success' }
}

function parametersText(parameters: JsonObject): string {
  return Object.entries(parameters)
    .flatMap(([name, value]) => [value].flat().map((entry) => `${name.padEnd(30)} ${JSON.stringify(entry)}`))
    .join('\n')
}

/** `POST /api/create` from an installed model or from uploaded blobs. */
export async function handleCreate(exchange: Exchange): Promise<void> {
  const { catalog, blobs, nowMs } = exchange.node
  const body = await readJson(exchange, 'CreateRequest', createRequest)
  const name = canonicalName(body.model || body.name || '')
  if (name === undefined) throw httpFailure(400, 'invalid model name')
  const files = Object.values(body.files ?? {})
  if (!body.from && files.length === 0) throw httpFailure(400, "neither 'from' or 'files' was specified")
  const missing = files.find((digest) => !blobs.has(digest))
  if (missing !== undefined) throw httpFailure(400, `blob ${JSON.stringify(missing)} not found`)
  const parent = body.from ? catalog.find(body.from) : genericModel(name, ['completion'], nowMs())
  if (!parent) throw httpFailure(400, `model '${body.from}' not found`)
  const model: ModelSpec = {
    ...parent,
    name,
    parentModel: body.from ? parent.name : '',
    system: body.system ?? parent.system,
    template: body.template ?? parent.template,
    parameters: body.parameters ? parametersText(body.parameters) : parent.parameters,
    modifiedAtMs: nowMs(),
  }
  await sendProgress(exchange, body.stream ?? true, createSteps(exchange, model))
}

function blobDigest(exchange: Exchange): string {
  const digest = exchange.parameter
  if (!/^sha256[:-][0-9a-f]{64}$/.test(digest)) throw httpFailure(400, 'invalid digest format')
  return digest.replace('-', ':')
}

/** `HEAD /api/blobs/:digest`. */
export function handleBlobHead(exchange: Exchange): void {
  const known = exchange.node.blobs.has(blobDigest(exchange))
  sendEmpty(exchange.response, known ? 200 : 404)
}

/** `POST /api/blobs/:digest`: 201 when the bytes hash to the digest. */
export async function handleBlobUpload(exchange: Exchange): Promise<void> {
  const { blobs } = exchange.node
  const digest = blobDigest(exchange)
  if (blobs.has(digest)) return sendEmpty(exchange.response, 200)
  const actual = `sha256:${createHash('sha256')
    .update(await readBody(exchange))
    .digest('hex')}`
  if (actual !== digest) {
    throw httpFailure(400, `digest mismatch, expected ${JSON.stringify(digest)}, got ${JSON.stringify(actual)}`)
  }
  blobs.add(digest)
  sendEmpty(exchange.response, 201)
}
