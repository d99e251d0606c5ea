import OpenAI from 'openai'
import type { FakeVendor } from './server.ts'

export const says = (text: string) => [{ role: 'user' as const, content: text }]

/** Ways to ask a fake vendor, each chat marked `m1` unless told otherwise. */
export function askerOf(vendor: FakeVendor) {
  const post = (path: string, body: unknown, init: RequestInit = {}) =>
    fetch(`${vendor.url}${path}`, {
      method: 'POST',
      headers: { authorization: 'Bearer sk-fake-1' },
      body: typeof body === 'string' ? body : JSON.stringify(body),
      ...init,
    })
  const chat = (text: string, extra: object = {}, init: RequestInit = {}) =>
    post('/chat/completions', { model: 'gpt-4o', messages: says(text), user: 'm1', ...extra }, init)
  return {
    client: new OpenAI({ apiKey: 'sk-fake-1', baseURL: vendor.url, maxRetries: 0 }),
    post,
    chat,
    stream: (text: string, extra: object = {}) => chat(text, { stream: true, ...extra }),
  }
}

export const eventsIn = (text: string) => text.split('\n\n').filter((event) => event.startsWith('data: '))

/** The text of a body up to where it ended or broke, and whether it broke. */
export async function readToEnd(response: Response): Promise<{ text: string; broke: boolean }> {
  const decoder = new TextDecoder()
  let text = ''
  try {
    for await (const bytes of response.body ?? []) text += decoder.decode(bytes, { stream: true })
    return { text, broke: false }
  } catch {
    return { text, broke: true }
  }
}
