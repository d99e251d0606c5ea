import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import type { Outbound } from '../../../src/core/outbound.ts'
import { callOf, timeouts, upstreamFailure, vendor } from './support.ts'

const answer = {
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1,
  model: 'm',
  choices: [{ index: 0, message: { role: 'assistant', content: 'grüße 👋' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
}
const bytes = Buffer.from(JSON.stringify(answer))

const opened: Server[] = []
afterEach(() => {
  for (const server of opened.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
})

/** A server that declares the length of its answer, and what the gateway makes of it. */
async function serve(write: (response: ServerResponse) => void) {
  const gone = Promise.withResolvers<void>()
  const server = createServer((request, response) => {
    request.resume()
    response.on('close', gone.resolve)
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': bytes.length })
    write(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  opened.push(server)
  const { port } = server.address() as AddressInfo
  const outbound: Outbound = ({ method = 'GET', headers = {}, body = null, signal = null }) =>
    fetch(`http://127.0.0.1:${port}`, { method, headers, body, signal })
  return { outbound, gone: gone.promise }
}

describe('an answer of declared length', () => {
  it('is read in one piece', async () => {
    const { outbound } = await serve((response) => response.end(bytes))
    const { kind, ...rest } = await vendor(outbound).chat(callOf())
    expect([kind, rest]).toMatchObject(['whole', { completion: { choices: answer.choices } }])
  })

  it('that breaks off is a cut', async () => {
    const { outbound } = await serve((response) => response.write(bytes.subarray(0, 40), () => response.destroy()))
    expect(await upstreamFailure(vendor(outbound).chat(callOf()))).toMatchObject({ fault: 'cut' })
  })

  it('that stalls is given up at the deadline, and its connection is closed', async () => {
    const { outbound, gone } = await serve((response) => response.write(bytes.subarray(0, 40)))
    const call = callOf({}, { timeouts: { ...timeouts, totalMs: 150 } })
    expect(await upstreamFailure(vendor(outbound).chat(call))).toMatchObject({ fault: 'timeout' })
    await gone
  })

  it('ends with its caller, and its connection is closed', async () => {
    const caller = new AbortController()
    const { outbound, gone } = await serve((response) => response.write(bytes.subarray(0, 40), () => caller.abort()))
    const failure = upstreamFailure(vendor(outbound).chat(callOf({}, { signal: caller.signal })))
    expect(await failure).toMatchObject({ fault: 'aborted' })
    await gone
  })
})
