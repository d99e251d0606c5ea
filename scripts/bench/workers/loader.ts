import type { StartEnv } from '../start.ts'

type Code = {
  compatibilityDate: string
  compatibilityFlags: readonly string[]
  mainModule: string
  modules: Readonly<Record<string, string>>
  env: Readonly<Record<string, string>>
}
type Loader = {
  get(
    name: string,
    code: () => Promise<Code>,
  ): { getEntrypoint(): { fetch(request: Request | string): Promise<Response> } }
}

let loads = 0
let sources: StartEnv | undefined

/** `PUT /` takes the Workers' sources, `GET /<worker>/<path>` asks that path of an isolate that did not exist before. */
export const worker = {
  async fetch(request: Request, { LOADER }: { LOADER: Loader }): Promise<Response> {
    if (request.method === 'PUT') {
      sources = await request.json()
      return new Response()
    }
    const [, name = '', ...path] = new URL(request.url).pathname.split('/')
    const found = sources?.[name]
    if (!found) return new Response(`There is no Worker ${name}.`, { status: 404 })
    const isolate = LOADER.get(`${name}-${loads++}`, async () => ({
      compatibilityDate: '2026-08-01',
      compatibilityFlags: ['nodejs_compat', 'no_nodejs_global_timers', 'enable_request_signal'],
      mainModule: 'main.js',
      modules: { 'main.js': found.source },
      env: found.texts,
    }))
    return isolate.getEntrypoint().fetch(`http://isolate/${path.join('/')}`)
  },
}
