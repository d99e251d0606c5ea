import type { Wire } from '../../../src/core/models.ts'
import { surfaces } from '../surfaces/all.ts'
import type { Surface } from '../surfaces/surface.ts'
import { wires } from '../truth.ts'
import { models, type World } from '../world.ts'
import { features } from './features.ts'
import { type Outcome, parts, probe, probeAnswer } from './probe.ts'

const titles: Readonly<Record<Surface['name'], string>> = {
  chat: 'Chat completions',
  text: 'Text completions',
  messages: 'Messages',
  responses: 'Responses',
}

/** What the tables of an interface cannot say. */
const notes: Partial<Record<Surface['name'], string>> = {
  messages:
    'To a model of Anthropic everything is sent on, and comes back, as it was written; its translation serves the others.',
  responses:
    'What proves thoughts stays with a stored response, or travels sealed in `encrypted_content` where `include` asks for it. `metadata` comes back with the response.',
}

const vendors: Readonly<Record<Wire, string>> = {
  openai: 'OpenAI',
  anthropic: 'Anthropic',
  gemini: 'Gemini',
  ollama: 'Ollama',
}

const cells: Readonly<Record<Outcome, string>> = {
  sent: '✓',
  'in part': 'in part',
  reported: 'reported',
  refused: 'refused',
  dropped: '–',
}

const row = (name: string, given: readonly string[]): string => `| ${[name, ...given].join(' | ')} |`

const tableOf = (first: string, rows: readonly string[]): string => {
  const head = row(
    first,
    wires.map((wire) => vendors[wire]),
  )
  return [head, `|---|${wires.map(() => '---').join('|')}|`, ...rows].join('\n')
}

/** What one interface can ask of each wire, found by asking. */
async function requestTable(world: World, surface: Surface): Promise<string> {
  const rows: string[] = []
  for (const { list } of features) {
    for (const { name, ask } of list) {
      const words = ask[surface.name]
      if (!words) continue
      const outcomes: string[] = []
      for (const wire of wires) outcomes.push(cells[(await probe(world, { surface, wire }, words)).outcome])
      rows.push(row(name, outcomes))
    }
  }
  return tableOf('asked', rows)
}

async function answerTable(world: World, surface: Surface): Promise<string> {
  const rows: string[] = []
  for (const part of parts) {
    const heard: string[] = []
    for (const wire of wires) {
      const isHeard = await probeAnswer(world, { surface, wire }, part)
      heard.push(isHeard === undefined ? '' : isHeard ? '✓' : '–')
    }
    rows.push(row(part.name, heard))
  }
  return tableOf('answered', rows)
}

const opening = `# Compatibility

What each interface of the gateway can ask of vendors of each wire, and what of their answers its clients get. These tables are not written by hand: \`scripts/compatibility.ts\` asks for each thing once with it and once without, through the real routes, adapters and renderings, and compares what left for the vendor. A test fails when they are no longer true.

| word | meaning |
|---|---|
| ✓ | said in the vendor’s words |
| in part | said as far as the vendor has words for it; what is lost is named in \`x-helix-ignored-params\` |
| reported | left out, and named in \`x-helix-ignored-params\` |
| refused | a 400 that names the field: to leave it out would change what is asked |
| – | left out without a word: it changes nothing that is asked (of a request), or this interface has no word for it (of an answer) |
| (empty) | no vendor of this wire answers such a thing |

With \`helix.strict\` everything that would be reported is refused instead.

Asked are ${Object.values(models)
  .map((model) => `\`${model}\``)
  .join(
    ', ',
  )}: models that can do most of what their wire can say. A model that cannot is its vendor’s to refuse. Vendors that speak OpenAI’s wire differ from each other in what they take; \`docs/providers.md\` has each of them.
`

/** The whole of `docs/compatibility.md`. */
export async function compatibilityDocument(world: World): Promise<string> {
  const chapters: string[] = []
  for (const surface of surfaces) {
    const [asked, answered] = [await requestTable(world, surface), await answerTable(world, surface)]
    const note = [notes[surface.name] ?? []].flat()
    chapters.push([`## ${titles[surface.name]}: \`${surface.path}\``, asked, answered, ...note, ''].join('\n\n'))
  }
  return `${[opening, ...chapters].join('\n').trimEnd()}\n`
}
