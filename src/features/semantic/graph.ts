import { cosine } from '../spaces/service.ts'
import { type Span, spanOf } from './evidence.ts'
import type { EntityTold, EntityType, GraphTold, RelationTold } from './graph-told.ts'

/** Names of the same type whose vectors are as near as that are names of the same thing. */
export const SAME_COSINE = 0.92
const MAX_TYPE_CHARS = 63

export type Entity = {
  name: string
  /** What equal names have in common. */
  canonicalName: string
  type: EntityType
  description: string | null
  properties: Record<string, string>
  /** Every window's own, combined. */
  confidence: number
  /** How often the text names it. */
  mentions: number
}

export type Relation = {
  source: Entity
  target: Entity
  type: string
  description: string | null
  confidence: number
  evidence: Span[]
}

export type Graph = {
  entities: Entity[]
  relations: Relation[]
  /** Relations that were told without two ends, or without a passage that the text has. */
  dropped: number
}

type Sure = { /** The surest that each window was. */ sureness: Map<number, number> }
type EntityDraft = Omit<Entity, 'confidence'> & Sure
type RelationDraft = Omit<Relation, 'confidence' | 'source' | 'target'> & Sure & { ends: [EntityDraft, EntityDraft] }

export type WindowTold = { span: Span; told: GraphTold }

/** Entities that were told of under equal names, and how a further step may find that two of them are one. */
export type Drafts = {
  entities: readonly EntityDraft[]
  /** Puts everything together; `sameAs` gives the earlier entity that one is another name of. */
  finish(sameAs: (entity: EntityDraft) => EntityDraft | undefined): Graph
}

/** Puts together what was told of the windows of a text. */
export function draftGraph(text: string, windows: readonly WindowTold[]): Drafts {
  const entities = new Map<string, EntityDraft>()
  const named: Map<string, EntityDraft>[] = []
  for (const [at, { told }] of windows.entries()) {
    const own = new Map<string, EntityDraft>()
    for (const one of told.entities) {
      const entity = noteEntity(entities, one, { text, at })
      if (entity && !own.has(entity.canonicalName)) own.set(entity.canonicalName, entity)
    }
    named.push(own)
  }
  const anywhere = new Map([...entities.values()].map((entity) => [entity.canonicalName, entity]))
  const endOf = (at: number, name: string): EntityDraft | undefined =>
    named[at]?.get(canonicalOf(name)) ?? anywhere.get(canonicalOf(name))
  return {
    entities: [...entities.values()],
    finish(sameAs) {
      const merged = mergedBy([...entities.values()], sameAs)
      const relations = new Map<string, RelationDraft>()
      let dropped = 0
      for (const [at, { span, told }] of windows.entries()) {
        for (const one of told.relations) {
          const [source, target] = [endOf(at, one.source), endOf(at, one.target)].map((end) => end && merged.get(end))
          const isKept = source && target && noteRelation(relations, one, { ends: [source, target], text, span, at })
          if (!isKept) dropped += 1
        }
      }
      return graphOf(new Set(merged.values()), [...relations.values()], dropped)
    },
  }
}

type Place = { text: string; at: number }

function noteEntity(
  entities: Map<string, EntityDraft>,
  told: EntityTold,
  { text, at }: Place,
): EntityDraft | undefined {
  const name = told.name.trim()
  const canonicalName = canonicalOf(name)
  if (canonicalName === '') return undefined
  const key = keyOf({ type: told.type, canonicalName })
  const draft: EntityDraft = entities.get(key) ?? {
    name,
    canonicalName,
    type: told.type,
    description: null,
    properties: {},
    sureness: new Map(),
    mentions: mentionsOf(text, name),
  }
  draft.description ??= told.description?.trim() || null
  for (const { name: property, value } of told.properties) draft.properties[property] ??= value
  noteSureness(draft, at, told.confidence)
  entities.set(key, draft)
  return draft
}

/** What names are compared by: without case, the width of spaces, and what encloses them. */
export const canonicalOf = (name: string): string =>
  name
    .normalize('NFKC')
    .toLowerCase()
    .replace(/\s+/g, ' ')
    .replace(/^[\s\p{P}]+|[\s\p{P}]+$/gu, '')

const mentionsOf = (text: string, name: string): number =>
  Math.max(1, text.toLowerCase().split(name.toLowerCase()).length - 1)

/** Each entity by the one that it is part of, which takes over what is known of it. */
function mergedBy(entities: readonly EntityDraft[], sameAs: (entity: EntityDraft) => EntityDraft | undefined) {
  const merged = new Map<EntityDraft, EntityDraft>()
  for (const entity of entities) {
    const same = sameAs(entity)
    const into = same && same !== entity ? merged.get(same) : undefined
    merged.set(entity, into ?? entity)
    if (!into) continue
    into.description ??= entity.description
    into.properties = { ...entity.properties, ...into.properties }
    into.mentions += entity.mentions
    for (const [at, sureness] of entity.sureness) noteSureness(into, at, sureness)
  }
  return merged
}

type RelationPlace = { ends: [EntityDraft, EntityDraft]; text: string; span: Span; at: number }

/** Whether it could be kept. */
function noteRelation(relations: Map<string, RelationDraft>, told: RelationTold, place: RelationPlace): boolean {
  const { ends, text, span, at } = place
  const type = snakeCase(told.type)
  const evidence = spanOf(text, told.evidence, span)
  const [source, target] = ends
  if (!evidence || type === '' || source === target) return false
  const key = [keyOf(source), keyOf(target), type].join('\n')
  const draft: RelationDraft = relations.get(key) ?? {
    ends,
    type,
    description: null,
    evidence: [],
    sureness: new Map(),
  }
  draft.description ??= told.description?.trim() || null
  if (!draft.evidence.some(({ start, end }) => start === evidence.start && end === evidence.end)) {
    draft.evidence.push(evidence)
  }
  noteSureness(draft, at, told.confidence)
  relations.set(key, draft)
  return true
}

export const snakeCase = (words: string): string =>
  words
    .normalize('NFKC')
    .replace(/(\p{Ll})(\p{Lu})/gu, '$1_$2')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, '_')
    .replace(/^_+/, '')
    .slice(0, MAX_TYPE_CHARS)
    .replace(/_+$/, '')

function noteSureness({ sureness }: Sure, at: number, confidence: number): void {
  sureness.set(at, Math.max(sureness.get(at) ?? 0, confidence))
}

/** Windows that say the same make it surer: nobody is right only if all of them are wrong. */
export const noisyOr = (confidences: Iterable<number>): number => {
  let wrong = 1
  for (const confidence of confidences) wrong *= 1 - confidence
  return 1 - wrong
}

function graphOf(drafts: ReadonlySet<EntityDraft>, relations: readonly RelationDraft[], dropped: number): Graph {
  const entities = new Map([...drafts].map((draft) => [draft, sureOf(draft)]))
  return {
    entities: [...entities.values()],
    relations: relations.flatMap(({ ends: [from, to], ...draft }) => {
      const [source, target] = [entities.get(from), entities.get(to)]
      return source && target ? [{ ...sureOf(draft), source, target }] : []
    }),
    dropped,
  }
}

const sureOf = <Draft extends Sure>({
  sureness,
  ...rest
}: Draft): Omit<Draft, 'sureness'> & { confidence: number } => ({
  ...rest,
  confidence: noisyOr(sureness.values()),
})

/** What tells one entity of a text from the others. */
export const keyOf = ({ type, canonicalName }: Pick<Entity, 'type' | 'canonicalName'>): string =>
  `${type} ${canonicalName}`

type Named = Pick<Entity, 'type' | 'canonicalName'>
/** By the key of an entity: the vector of its name, and the name that it is kept under. */
export type Known = { vectors: ReadonlyMap<string, readonly number[]>; names: ReadonlyMap<string, string> }

/** The first entity before one that is the same: kept under the same name, or with a name that means the same. */
export function sameAmong<One extends Named>(
  entities: readonly One[],
  { vectors, names }: Known,
): (entity: One) => One | undefined {
  const places = new Map(entities.map((entity, at) => [entity, at]))
  const isNear = (one: One, other: One): boolean => {
    const [first, second] = [vectors.get(keyOf(one)), vectors.get(keyOf(other))]
    return first !== undefined && second !== undefined && cosine(first, second) >= SAME_COSINE
  }
  const nameOf = (one: One): string => names.get(keyOf(one)) ?? one.canonicalName
  return (entity) =>
    entities
      .slice(0, places.get(entity) ?? 0)
      .find((other) => other.type === entity.type && (nameOf(other) === nameOf(entity) || isNear(other, entity)))
}
