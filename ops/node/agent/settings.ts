/** A service of the same machine that does what the agent cannot: it speaks the agent's wire for its path. */
export type Upstream = { path: string; url: string; model: string; task: string }

export type Settings = {
  port: number
  host: string
  /** Without it everybody may ask; the tunnel in front is then the only guard. */
  token: string | undefined
  maxBodyBytes: number
  upstreams: readonly Upstream[]
}

const services = [
  { name: 'CLASSIFY', path: '/v1/audio/classifications', task: 'audio-classification' },
  { name: 'DIARIZE', path: '/v1/audio/diarizations', task: 'speaker-diarization' },
  { name: 'EMBED', path: '/v1/embeddings', task: 'zero-shot-image-classification' },
  { name: 'RERANK', path: '/v1/rerank', task: 'text-ranking' },
]

type Environment = Readonly<Record<string, string | undefined>>

function upstreamsOf(environment: Environment): Upstream[] {
  return services.flatMap(({ name, path, task }) => {
    const url = environment[`${name}_URL`]
    if (!url) return []
    const model = environment[`${name}_MODEL`]
    if (!/^https?:\/\//.test(url) || !model) {
      throw new Error(`${name}_URL must be an http URL, and ${name}_MODEL must name the model behind it.`)
    }
    return [{ path, url: url.replace(/\/+$/, ''), model, task: environment[`${name}_TASK`] ?? task }]
  })
}

/** @throws Error with one sentence for a setting that is wrong */
export function readSettings(environment: Environment): Settings {
  const port = Number(environment.PORT ?? 8090)
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new Error('PORT must be a port number.')
  return {
    port,
    host: environment.HOST ?? '127.0.0.1',
    token: environment.AGENT_TOKEN || undefined,
    maxBodyBytes: Number(environment.MAX_BODY_MB ?? 110) * 1024 * 1024,
    upstreams: upstreamsOf(environment),
  }
}
