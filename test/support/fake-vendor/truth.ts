import type { Answer } from './answer.ts'

/**
 * What really happened to one request. A vendor bills the prompt once it begins to answer, and each piece that it
 * handed to the socket; errors, pages and silence are free. `status` is 0 when no response was begun.
 */
export type TruthRow = {
  /** `metadata.marker` of the body, else its `user`. */
  marker: string | undefined
  endpoint: 'chat' | 'completions' | 'embeddings' | 'models' | 'other'
  model: string
  stream: boolean
  fault: string | undefined
  /** When it was asked, Unix milliseconds. */
  atMs: number
  status: number
  /** Billed tokens. */
  prompt: number
  completion: number
  /** Pieces handed to the socket, of all choices. */
  pieces: number
  /** The text written of each choice; arguments of calls are not in it. */
  texts: readonly string[]
  text: string
  usageReported: boolean
  /** The client closed the connection before the answer's own end. */
  clientLeft: boolean
  /** The answer was written to its own proper end. */
  finished: boolean
}

/** A row while its request runs. The texts are put together only when somebody asks. */
export type OpenRow = Omit<TruthRow, 'texts' | 'text'> & { answer: Answer | undefined }

function writtenTexts({ answer, pieces }: OpenRow): string[] {
  const texts = answer?.choices.map(() => '') ?? []
  for (const { choice, text, call } of answer?.pieces.slice(0, pieces) ?? []) {
    if (call === undefined) texts[choice] = (texts[choice] ?? '') + text
  }
  return texts
}

export type Truth = ReturnType<typeof createTruth>

export function createTruth() {
  let rows: OpenRow[] = []
  return {
    open(row: Pick<OpenRow, 'marker' | 'endpoint' | 'model' | 'stream' | 'fault'>): OpenRow {
      const opened: OpenRow = {
        ...row,
        atMs: Date.now(),
        status: 0,
        prompt: 0,
        completion: 0,
        pieces: 0,
        answer: undefined,
        usageReported: false,
        clientLeft: false,
        finished: false,
      }
      rows.push(opened)
      return opened
    },
    rows: (): readonly TruthRow[] =>
      rows.map((row) => {
        const { answer: _answer, ...facts } = row
        const texts = writtenTexts(row)
        return { ...facts, texts, text: texts[0] ?? '' }
      }),
    /** `calls` counts those that were billed. */
    totals() {
      const totals = { prompt: 0, completion: 0, calls: 0 }
      for (const { prompt, completion } of rows) {
        totals.prompt += prompt
        totals.completion += completion
        if (prompt + completion > 0) totals.calls += 1
      }
      return totals
    },
    requests: () => rows.length,
    aborted: () => rows.filter(({ clientLeft }) => clientLeft).length,
    reset() {
      rows = []
    },
  }
}
