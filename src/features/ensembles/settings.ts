import type { EnsembleConfig, EnsembleStrategy } from '../../core/ensemble.ts'

export const MOST_MEMBERS = 4
const DEFAULT_MEMBERS = 3
const DEFAULT_TIMEOUT_MS = 60_000
/** A stream's caller sees signs of life meanwhile. */
const DEFAULT_STREAM_TIMEOUT_MS = 120_000

/** How a call's members answer together, with nothing left open. */
export type EnsembleSettings = {
  strategy: EnsembleStrategy
  isSequential: boolean
  /** Names of models; undefined leaves the choice to us. */
  members: readonly string[] | undefined
  /** Answers without which there is no choice. */
  least: number
  /** Members that are asked. */
  most: number
  threshold: number
  fallsBack: boolean
  /** Of each round of calls. */
  timeoutMs: number
  preferred: readonly string[]
  weights: Readonly<Record<string, number>>
  judge: string | undefined
  streamsFirst: boolean
}

/** What the call says goes before what its organisation says, field by field. */
export function settingsOf(
  asked: EnsembleConfig,
  own: EnsembleConfig | undefined,
  { isStream }: { isStream: boolean },
): EnsembleSettings {
  const { mode = 'parallel', members, ...config } = { ...own, ...definedIn(asked) }
  const strategy = config.strategy === 'best_response' ? 'best_of_n' : (config.strategy ?? 'confidence_weighted')
  const most = members?.length ?? config.max_providers ?? Math.max(DEFAULT_MEMBERS, config.min_providers ?? 0)
  return {
    strategy,
    isSequential: mode === 'sequential' || strategy === 'cascade',
    members,
    // A cascade is content with one.
    least: strategy === 'cascade' ? 1 : Math.min(most, config.min_providers ?? 2),
    most,
    threshold: config.confidence_threshold ?? 0.75,
    fallsBack: config.fallback_to_best ?? true,
    timeoutMs: config.timeout_ms ?? (isStream ? DEFAULT_STREAM_TIMEOUT_MS : DEFAULT_TIMEOUT_MS),
    preferred: config.preferred_providers ?? [],
    weights: config.provider_weights ?? {},
    judge: config.judge_model,
    streamsFirst: isStream && config.stream_first === true && mode !== 'sequential' && isChoice(strategy),
  }
}

/** Strategies whose answer is one of those that the members gave at first: only such an answer can be shown early. */
const isChoice = (strategy: EnsembleStrategy): boolean => !['merge', 'round', 'cascade'].includes(strategy)

/** Strategies that ask a judge. */
export const asksJudge = ({ strategy }: Pick<EnsembleSettings, 'strategy'>): boolean =>
  strategy === 'best_of_n' || strategy === 'merge'

const definedIn = (config: EnsembleConfig): EnsembleConfig =>
  Object.fromEntries(Object.entries(config).filter(([, value]) => value !== undefined && value !== null))
