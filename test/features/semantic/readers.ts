import { startGateway, type TestGateway, type TestGatewayOptions } from '../../support/gateway.ts'
import { completion } from '../calls/world.ts'

/** What a model was shown, and the form it had to answer in. */
export type Shown = {
  system: string
  /** The text between the marks. */
  text: string
  /** All that stands after the instructions. */
  user: string
  format: unknown
}

export type ReaderWorld = TestGateway & {
  shown: Shown[]
  ask(path: string, body: unknown): Promise<{ status: number; body: Record<string, unknown> }>
}

/** A vendor's model that answers what a test says it answers. */
export async function startReader(
  answer: (shown: Shown, at: number) => unknown,
  options: TestGatewayOptions = {},
): Promise<ReaderWorld> {
  const shown: Shown[] = []
  const gateway = await startGateway({ upstream: reading(shown, answer), ...options })
  return {
    ...gateway,
    shown,
    ask: async (path, body) => {
      const response = await gateway.call(`/api/v1/semantic/${path}`, body)
      return { status: response.status, body: await response.json() }
    },
  }
}

/** What a vendor answers whose model is told what to say; `shown` is what it was shown. */
export const reading =
  (shown: Shown[], answer: (shown: Shown, at: number) => unknown): NonNullable<TestGatewayOptions['upstream']> =>
  ({ body }) => {
    const one = shownIn(body)
    shown.push(one)
    const told = answer(one, shown.length - 1)
    return completion(typeof told === 'string' ? told : JSON.stringify(told))
  }

function shownIn(body: Record<string, unknown>): Shown {
  const messages = Array.isArray(body.messages) ? body.messages : []
  const said = (role: string): string =>
    messages.flatMap((message) => (message.role === role ? [String(message.content)] : [])).join('\n')
  const user = said('user')
  const [, , text = ''] = /^<(text_[0-9a-z]+)>\n([\s\S]*)\n<\/\1>$/.exec(user) ?? []
  return { system: said('system'), text, user, format: body.response_format }
}
