import type { LimitWindow } from '../../core/admission.ts'
import { unfit } from '../../core/errors.ts'
import type { LimitRow } from './compile.ts'
import { checkRule } from './rules.ts'
import type { LimitRule, PresetName } from './schema.ts'
import type { LimitSubject } from './subject.ts'
import { familyOf } from './targets.ts'

const requests = (amount: number, window: LimitWindow): LimitRule => ({
  metric: 'requests',
  amount,
  window,
  mode: 'enforce',
})
const tokens = (amount: number, window: LimitWindow): LimitRule => ({ ...requests(amount, window), metric: 'tokens' })
const atOnce = (amount: number): LimitRule => ({ metric: 'concurrency', amount, mode: 'enforce' })

type OwnKind = Exclude<LimitRow['subject_kind'], 'provider'>

/** One family: whoever gets one of them loses the other. */
const presets: Readonly<Record<PresetName, Readonly<Record<OwnKind, readonly LimitRule[]>>>> = {
  standard: {
    key: [requests(1000, 60), tokens(10_000, 60)],
    user: [tokens(10_000, 60), tokens(100_000, 'day')],
    org: [tokens(1_000_000, 'month')],
  },
  premium: {
    key: [requests(10_000, 60), tokens(100_000, 60)],
    user: [tokens(100_000, 60), tokens(1_000_000, 'day')],
    org: [tokens(100_000_000, 'month')],
  },
}

export const presetNames: readonly PresetName[] = ['standard', 'premium']

/** What a provider takes of all its models together. */
const ofProvider: readonly LimitRule[] = [atOnce(100)]

/** What vendors allow a credential of some models; a minute each. */
const ofModels: Readonly<Record<string, readonly LimitRule[]>> = {
  'gemini/gemini-pro': [requests(60, 60), tokens(100_000, 60)],
  'openai/gpt-4-turbo': [requests(30, 60), tokens(150_000, 60)],
  'anthropic/claude-3-opus': [requests(50, 60), tokens(100_000, 60)],
  'mistral/mistral-large': [requests(60, 60), tokens(100_000, 60)],
}

/** The rules that a preset gives a subject. Throws 422 for a model that has none. */
export function presetOf(preset: PresetName, { subject_kind, subject_id }: LimitSubject): readonly LimitRule[] {
  if (subject_kind !== 'provider') return presets[preset][subject_kind]
  if (preset !== 'standard') throw unfit('preset', 'providers have standard only')
  if (!subject_id.includes('/')) return ofProvider
  const [, rules] = Object.entries(ofModels).find(([model]) => familyOf(model) === subject_id) ?? []
  if (!rules) throw unfit('subject_id', `only these models have a preset: ${Object.keys(ofModels).join(', ')}`)
  return rules
}

type Listed = { preset: PresetName; subject_kind: LimitRow['subject_kind']; subject_id: string | null }

/** Every preset as the API shows it; `subject_id` is null where it is for every subject of its kind. */
export const listedPresets = () => [
  ...presetNames.flatMap((preset) =>
    (['key', 'user', 'org'] as const).map((subject_kind) =>
      listed({ preset, subject_kind, subject_id: null }, presets[preset][subject_kind]),
    ),
  ),
  listed({ preset: 'standard', subject_kind: 'provider', subject_id: null }, ofProvider),
  ...Object.entries(ofModels).map(([subject_id, rules]) =>
    listed({ preset: 'standard', subject_kind: 'provider', subject_id }, rules),
  ),
]

const listed = (about: Listed, rules: readonly LimitRule[]) => ({
  ...about,
  limits: rules.map((rule) => {
    const { metric, algorithm, window_seconds, calendar, amount, burst } = checkRule(rule)
    const capacity = algorithm === 'token_bucket' ? (burst ?? amount) : null
    return { metric, algorithm, window: window_seconds ?? calendar, amount, burst: capacity }
  }),
})
