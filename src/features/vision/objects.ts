import type { Image } from '../media/service.ts'
import { areaOf, type Box, type BoxUnit, boxOf, type Corners, overlapOf, positionOf, toldUnit } from './boxes.ts'
import { meanConfidence } from './confidence.ts'

/** A thing that a model says it sees. */
export type Told = { name: string; box: Corners; confidence: number | null }
export type Found = { name: string; box: Box; position: string; confidence: number | null }

/** Boxes of one name that overlap by more are of one thing. */
const SAME = 0.9

export type Sighting = {
  unit: BoxUnit
  image: Pick<Image, 'width' | 'height'>
  /** Only these are wanted, whatever the case of their letters; all where there are none. */
  labels: readonly string[]
  /** What has no confidence reaches none but 0. */
  minConfidence: number
}

/**
 * What is left of what a model told: inside of the picture, with an area, of a name that was asked for, sure enough, and
 * each thing once, as the model was surest of it.
 */
export function objectsIn(told: readonly Told[], { unit, image, labels, minConfidence }: Sighting): Found[] {
  const wanted = new Map(labels.map((label) => [nameKey(label), label]))
  const said = toldUnit(
    told.map(({ box }) => box),
    unit,
    image,
  )
  const found = told.flatMap(({ name, box: corners, confidence }): Found[] => {
    const box = boxOf(corners, said, image)
    const named = labels.length === 0 ? name.trim() : wanted.get(nameKey(name))
    if (!box || named === undefined || (confidence ?? 0) < minConfidence) return []
    return [{ name: named, box, position: positionOf(box), confidence }]
  })
  return found.filter((one, at) => !found.some((other, place) => isBetter(other, one, place < at)))
}

const nameKey = (name: string): string => name.trim().toLowerCase()

function isBetter(other: Found, one: Found, isBefore: boolean): boolean {
  if (other === one || nameKey(other.name) !== nameKey(one.name) || overlapOf(other.box, one.box) <= SAME) return false
  const more = (other.confidence ?? -1) - (one.confidence ?? -1)
  return more > 0 || (more === 0 && isBefore)
}

export function countsOf(objects: readonly Pick<Found, 'name'>[]): Record<string, number> {
  const counts = new Map<string, number>()
  for (const { name } of objects) counts.set(name, (counts.get(name) ?? 0) + 1)
  return Object.fromEntries(counts)
}

/** What large things count for more in. */
export const confidenceOf = (objects: readonly Found[]): number | null =>
  meanConfidence(objects.map(({ confidence, box }) => ({ confidence, weight: areaOf(box) })))
