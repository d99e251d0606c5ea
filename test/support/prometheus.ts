export type Sample = { name: string; labels: Readonly<Record<string, string>>; value: number }
export type Metrics = {
  samples: readonly Sample[]
  /** Of the one sample with exactly these labels; undefined when there is none. */
  value(name: string, labels: Readonly<Record<string, string>>): number | undefined
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/
// A line ends at its line feed: what Unicode calls the end of one is a character like any other.
const LINE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/s
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\\\|\\"|\\n)*)"(,|$)/y

/**
 * Reads Prometheus' text format 0.0.4 as strictly as its own parser: each family in one block after its HELP and TYPE,
 * no sample twice, histograms whole and cumulative. Throws at the first thing that is not so.
 */
export function parseMetrics(text: string): Metrics {
  if (text !== '' && !text.endsWith('\n')) throw new Error('the last line has no end')
  const samples: Sample[] = []
  const types = new Map<string, string>()
  let family = ''
  for (const line of text.split('\n').slice(0, -1)) {
    const [, comment, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? []
    if (comment === 'HELP') {
      if (!NAME.test(name) || types.has(name)) throw new Error(`a second block or a bad name: ${line}`)
      family = name
    } else if (comment === 'TYPE') {
      if (name !== family || !/^(counter|gauge|histogram)$/.test(rest)) throw new Error(`a stray type: ${line}`)
      types.set(name, rest)
    } else {
      const sample = sampleIn(line)
      const isPart = types.get(family) === 'histogram' ? /^_(bucket|sum|count)$/ : /^$/
      if (!sample.name.startsWith(family) || !isPart.test(sample.name.slice(family.length))) {
        throw new Error(`a sample outside its family: ${line}`)
      }
      samples.push(sample)
    }
  }
  const keys = samples.map(({ name, labels }) => keyOf(name, labels))
  if (new Set(keys).size !== keys.length) throw new Error('a sample is there twice')
  const metrics: Metrics = { samples, value: (name, labels) => samples[keys.indexOf(keyOf(name, labels))]?.value }
  for (const [name, type] of types) if (type === 'histogram') checkHistogram(name, metrics)
  return metrics
}

const keyOf = (name: string, labels: Readonly<Record<string, string>>) =>
  JSON.stringify([name, Object.entries(labels).sort(([left], [right]) => (left < right ? -1 : 1))])

function sampleIn(line: string): Sample {
  const [, name, labelText = '', number] = LINE.exec(line) ?? []
  if (name === undefined || number === undefined) throw new Error(`not a sample: ${line}`)
  const labels: Record<string, string> = {}
  for (LABEL.lastIndex = 0; LABEL.lastIndex < labelText.length; ) {
    const [, label, value] = LABEL.exec(labelText) ?? []
    if (label === undefined || value === undefined) throw new Error(`bad labels: ${line}`)
    labels[label] = value.replaceAll(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped))
  }
  if (!Number.isFinite(Number(number))) throw new Error(`not a number: ${line}`)
  return { name, labels, value: Number(number) }
}

/** Buckets rise with their edges, the last holds all, and a sum and a count belong to them. */
function checkHistogram(family: string, { samples, value }: Metrics): void {
  const series = new Map<string, { labels: Record<string, string>; buckets: [edge: number, count: number][] }>()
  for (const sample of samples.filter(({ name }) => name === `${family}_bucket`)) {
    const { le = '', ...labels } = sample.labels
    const one = series.get(JSON.stringify(labels)) ?? { labels, buckets: [] }
    one.buckets.push([le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le), sample.value])
    series.set(JSON.stringify(labels), one)
  }
  for (const { labels, buckets } of series.values()) {
    const where = `${family}${JSON.stringify(labels)}`
    buckets.forEach(([edge, count], at) => {
      const [lastEdge, lastCount] = buckets[at - 1] ?? [Number.NEGATIVE_INFINITY, 0]
      if (!(edge > lastEdge) || count < lastCount) throw new Error(`${where} does not rise at ${edge}`)
    })
    const [lastEdge, all] = buckets.at(-1) ?? []
    if (lastEdge !== Number.POSITIVE_INFINITY) throw new Error(`${where} has no +Inf`)
    if (value(`${family}_count`, labels) !== all) throw new Error(`${where} counts other than its last bucket`)
    if (value(`${family}_sum`, labels) === undefined) throw new Error(`${where} has no sum`)
  }
}
