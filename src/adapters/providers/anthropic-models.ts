export const effortLevels = ['low', 'medium', 'high', 'xhigh', 'max'] as const
export type Effort = (typeof effortLevels)[number]

/** What a Claude model takes and what it refuses with a 400. */
export type ClaudeTraits = {
  /** `budget`: only where a number of tokens is given for it; `adaptive`: as the model sees fit. */
  thinking: 'none' | 'budget' | 'adaptive'
  /** How it is told not to think; `omit`: by saying nothing, `never`: not at all. */
  off: 'omit' | 'disabled' | 'between_tools' | 'never'
  /** Levels that `output_config.effort` may have. */
  efforts: readonly Effort[]
  /** Whether `temperature` and `top_p` go together, exclude each other, or are both refused. */
  sampling: 'both' | 'one' | 'none'
  /** Answers and tool inputs that follow a JSON schema. */
  schemas: boolean
  /** Whether a call of a tool can be demanded. */
  forcesTools: boolean
}

const oldest: ClaudeTraits = {
  thinking: 'none',
  off: 'omit',
  efforts: [],
  sampling: 'both',
  schemas: false,
  forcesTools: true,
}

/** A name without a version, and every version to come: nothing is sent that the newest models refuse. */
const NEWEST = 56

/**
 * Ten times the version from which on a change holds, in ascending order.
 * Sources: platform.claude.com/docs/en/build-with-claude/{thinking,adaptive-thinking,effort,structured-outputs} and
 * the migration guide of each model.
 */
const changes: readonly (readonly [fromVersion: number, change: Partial<ClaudeTraits>])[] = [
  [37, { thinking: 'budget' }],
  [41, { sampling: 'one', schemas: true }],
  [46, { thinking: 'adaptive', efforts: ['low', 'medium', 'high', 'max'] }],
  [47, { efforts: effortLevels, sampling: 'none' }],
  [50, { off: 'disabled' }],
  [NEWEST, { off: 'never', forcesTools: false }],
]

type Exception = { line: string; from: number; below: number; change: Partial<ClaudeTraits> }

const exceptions: readonly Exception[] = [
  { line: 'opus', from: 45, below: 46, change: { efforts: ['low', 'medium', 'high'] } },
  { line: 'opus', from: 55, below: NEWEST, change: { off: 'never', forcesTools: false } },
  { line: 'sonnet', from: 55, below: NEWEST, change: { off: 'between_tools', forcesTools: false } },
  { line: 'fable', from: 50, below: NEWEST, change: { off: 'never' } },
  { line: 'fable', from: 51, below: NEWEST, change: { forcesTools: false } },
  { line: 'mythos', from: 50, below: NEWEST, change: { off: 'never' } },
  { line: 'mythos', from: 51, below: NEWEST, change: { forcesTools: false } },
]

/** The traits of a model by Anthropic's own name for it: `claude-sonnet-4-5-20250929`, `claude-3-opus-latest`. */
export function claudeTraits(model: string): ClaudeTraits {
  const name = model.toLowerCase()
  const line = /opus|sonnet|haiku|fable|mythos/.exec(name)?.[0]
  const version = versionOf(name)
  const general = changes.flatMap(([from, change]) => (version >= from ? [change] : []))
  const special = exceptions.flatMap((row) =>
    row.line === line && version >= row.from && version < row.below ? [row.change] : [],
  )
  return Object.assign({}, oldest, ...general, ...special)
}

/** The date at the end of a name is no version: its digits are followed by digits. */
function versionOf(name: string): number {
  const [, major, minor = '0'] = /^claude-(?:[a-z]+-)?(\d)(?!\d)(?:[.-](\d)(?!\d))?/.exec(name) ?? []
  return major === undefined ? NEWEST : Number(major) * 10 + Number(minor)
}
