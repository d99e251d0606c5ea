/** What makes a text important, each 0 to 1. */
export const importanceParts = [
  'quality',
  'relevance',
  'timeliness',
  'uniqueness',
  'engagement',
  'authority',
  'cross_references',
] as const
export type ImportancePart = (typeof importanceParts)[number]

/** Null where nothing is known. */
export type Dimensions = Record<ImportancePart, number | null>
export type Weights = Record<ImportancePart, number>

export const IMPORTANCE_WEIGHTS: Readonly<Weights> = {
  quality: 0.25,
  relevance: 0.2,
  timeliness: 0.15,
  uniqueness: 0.15,
  engagement: 0.1,
  authority: 0.1,
  cross_references: 0.05,
}

export const HIGH = 0.7
export const MEDIUM = 0.4
export type Level = 'high' | 'medium' | 'low'

/**
 * The sum of what is known, by weights that add up to 1: those of parts of which nothing is known are shared out among
 * the others.
 */
export function scoreImportance(dimensions: Dimensions): { score: number; weights: Weights; level: Level } {
  const known = importanceParts.filter((part) => dimensions[part] !== null)
  const sum = known.reduce((total, part) => total + IMPORTANCE_WEIGHTS[part], 0)
  const weights: Weights = { ...NOTHING }
  let score = 0
  for (const part of known) {
    weights[part] = IMPORTANCE_WEIGHTS[part] / sum
    score += weights[part] * (dimensions[part] ?? 0)
  }
  return { score: Math.min(1, score), weights, level: score > HIGH ? 'high' : score > MEDIUM ? 'medium' : 'low' }
}

const NOTHING: Readonly<Weights> = {
  quality: 0,
  relevance: 0,
  timeliness: 0,
  uniqueness: 0,
  engagement: 0,
  authority: 0,
  cross_references: 0,
}

const DAY_SECONDS = 86_400
export const HALF_LIFE_DAYS = { high: 2, medium: 14, low: 90 } as const
export type TimeSensitivity = keyof typeof HALF_LIFE_DAYS

/** What the age of a text leaves of its worth; all of it for one from the future. Unix seconds. */
export const timeliness = (publishedAt: number, now: number, sensitivity: TimeSensitivity): number =>
  Math.exp(-Math.max(0, now - publishedAt) / (HALF_LIFE_DAYS[sensitivity] * DAY_SECONDS))

const MANY_LINKS = 10

export const crossReferences = (links: number): number => Math.min(1, links / MANY_LINKS)

/** How many different places a text leads to; undefined where it leads to none, which says nothing of who leads to it. */
export function linksIn(text: string): number | undefined {
  const links = new Set(text.match(/https?:\/\/[^\s<>()[\]"']+/g)?.map((link) => link.replace(/[.,;:!?]+$/, '')))
  return links.size === 0 ? undefined : links.size
}
