import { execFile } from 'node:child_process'

/** Of one card, in mebibytes; `utilisation` is 0 to 1. */
export type Gpu = { name: string; memory_mb: number; free_mb: number; utilisation: number }

const ANSWER_LIMIT_MS = 5_000
const QUERY = ['--query-gpu=name,memory.total,memory.free,utilization.gpu', '--format=csv,noheader,nounits']

/** What `nvidia-smi` prints, a card a line. A card that does not tell its utilisation (`[N/A]`) counts as idle. */
export function parseGpus(csv: string): Gpu[] {
  return csv.split('\n').flatMap((line) => {
    const fields = line.split(',').map((field) => field.trim())
    const [utilisation, free, total] = fields.splice(-3).reverse().map(Number)
    const name = fields.join(', ')
    if (name === '' || !Number.isFinite(total) || !Number.isFinite(free)) return []
    const busy = Number.isFinite(utilisation) ? (utilisation ?? 0) / 100 : 0
    return [{ name, memory_mb: total ?? 0, free_mb: free ?? 0, utilisation: busy }]
  })
}

/** The cards of this machine; none where there is no `nvidia-smi` or it fails. */
export function readGpus(command = 'nvidia-smi'): Promise<Gpu[]> {
  return new Promise((resolve) => {
    execFile(command, QUERY, { timeout: ANSWER_LIMIT_MS }, (error, stdout) => resolve(error ? [] : parseGpus(stdout)))
  })
}
