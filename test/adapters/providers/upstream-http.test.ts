import { describe, expect, it } from 'vitest'
import { callOf, json, scripted, vendor } from './support.ts'

const choices = [{ index: 0, message: { role: 'assistant', content: 'Hi' }, finish_reason: 'stop' }]

describe('a request to a vendor', () => {
  it.each([
    ['small', 10, 'string'],
    ['large', 2_000_000, 'object'],
  ])('that is %s is the same JSON, whatever carries it', async (_name, length, carrier) => {
    const { outbound, requests } = scripted(() => json({ id: 'c', model: 'm', choices }))
    const content = `世${'a'.repeat(length)}`
    await vendor(outbound).chat(callOf({ messages: [{ role: 'user', content }] }))
    const [{ body, method, headers } = { body: undefined }] = requests
    expect([typeof body, method, headers?.['content-type']]).toEqual([carrier, 'POST', 'application/json'])
    const text = typeof body === 'string' ? body : new TextDecoder().decode(body)
    expect(JSON.parse(text)).toMatchObject({ model: 'upstream-model', messages: [{ role: 'user', content }] })
  })
})
