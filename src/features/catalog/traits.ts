import type { Capability, Traits } from './types.ts'

/**
 * Capabilities, output limit and image bound of a model, told from its name: price lists carry none of these.
 * Letters: t tools, j JSON schema, v vision, r reasoning, e embedding, a transcription of audio; every chat model
 * completes. The first rule that matches wins. An image bound is the most tokens the largest image can be billed as.
 *
 * Sources: developers.openai.com/api/docs/models and .../guides/images-vision (tiles: base + tile x 8, the most tiles
 * of a 768 x 2048 image; patches: 1,536 x multiplier, or 10,000 x 1.2 at original detail),
 * platform.claude.com/docs/en/models and .../build-with-claude/vision, ai.google.dev/gemini-api/docs/models and
 * .../media-resolution, api-docs.deepseek.com/quick_start/pricing, docs.mistral.ai/getting-started/models,
 * www.alibabacloud.com/help/en/model-studio/models, docs.z.ai/guides/overview/pricing, docs.x.ai/docs/models.
 */
type Rule = readonly [family: RegExp, letters: string, maxOutputTokens?: number, imageTokenBound?: number]

/** Used for families whose vendor states no bound; above all stated ones except those listed below by name. */
const DEFAULT_IMAGE_TOKENS = 5_000

const openaiRules: readonly Rule[] = [
  [/^chatgpt-4o/, 'v', 16_384, 1_445],
  // 2,833 + 8 x 5,667: an image costs 33 times the tokens that it costs gpt-4o.
  [/^gpt-4o-mini/, 'tjv', 16_384, 48_169],
  [/^gpt-4o-2024-05-13/, 'tv', 4_096, 1_445],
  [/^gpt-4(o|\.5)/, 'tjv', 16_384, 1_445],
  [/^gpt-4\.1-nano/, 'tjv', 32_768, 3_779],
  [/^gpt-4\.1-mini/, 'tjv', 32_768, 2_489],
  [/^gpt-4\.1/, 'tjv', 32_768, 1_445],
  [/^gpt-4-turbo(-2024-04-09)?$/, 'tv', 4_096, 1_445],
  [/^gpt-4-(1106-)?vision/, 'v', 4_096, 1_445],
  [/^gpt-4-(turbo|1106|0125)/, 't', 4_096],
  [/^gpt-4/, 't', 8_192],
  [/^gpt-3\.5/, 't', 4_096],
  [/^gpt-(5(\.\d)?-)?chat/, 'jv', 16_384, 12_000],
  [/^gpt-5-nano/, 'tjvr', 128_000, 3_779],
  [/^gpt-5-mini/, 'tjvr', 128_000, 2_489],
  [/^gpt-5(-|$)/, 'tjvr', 128_000, 1_190],
  [/^gpt-5/, 'tjvr', 128_000, 12_000],
  // No cap on patches is documented: 14,364 were billed for a 12-megapixel photo.
  [/^gpt-[6-9]/, 'tjvr', 128_000, 30_000],
  [/^gpt-(latest|mini-latest)/, 'tjvr', 128_000, 30_000],
  [/^gpt-oss/, 'tjr', 32_768],
  [/^o1-mini/, 'r', 65_536],
  [/^o1-preview/, 'r', 32_768],
  [/^o3-mini/, 'tjr', 100_000],
  [/^o4-mini/, 'tjvr', 100_000, 2_642],
  [/^o[13]/, 'tjvr', 100_000, 1_275],
]

const anthropicRules: readonly Rule[] = [
  [/^claude-3-(haiku|sonnet|opus)/, 'tv', 4_096, 1_700],
  [/^claude-3[.-]5/, 'tv', 8_192, 1_700],
  [/^claude-3[.-]7/, 'tvr', 64_000, 1_700],
  [/^claude-(opus-4([.-]0|-2025\d+)?|4-opus.*)$/, 'tvr', 32_000, 1_700],
  [/^claude-opus-4[.-]1/, 'tjvr', 32_000, 1_700],
  [/^claude-(sonnet-4([.-]0|-2025\d+)?|4-sonnet.*)$/, 'tvr', 64_000, 1_700],
  [/^claude-(\w+-4[.-]5|4[.-]5-|haiku-latest)/, 'tjvr', 64_000, 1_700],
  [/^claude-/, 'tjvr', 128_000, 4_784],
]

const geminiRules: readonly Rule[] = [
  [/^gemini-embedding/, 'e'],
  [/^gemini-(1\.0-)?pro-?(vision.*)?$/, 'tv', 8_192],
  [/^gemini-([12]\.|(flash|pro)-1\.5)(?!5)/, 'tjv', 8_192],
  [/^gemini-2\.5/, 'tjvr', 65_536],
  [/^gemini-/, 'tjvr', 65_536, 2_240],
  [/^gemma-4/, 'tvr', 32_768],
  [/^gemma-3/, 'v', 8_192],
]

const otherRules: readonly Rule[] = [
  [/^deepseek-(chat|coder|v3)/, 't', 8_192],
  [/^deepseek-(reasoner|r1)/, 'tr', 32_768],
  [/^deepseek-(flash|v4-flash)/, 'tvr', 384_000],
  [/^deepseek-v4/, 'tr', 384_000],
  [/^(mistral|codestral)-embed/, 'e'],
  [/^mistral-(large-(latest|2512)|medium-(3|latest|25|26)|small-(latest|2[56]|3\.[12]))/, 'tjv', 32_768],
  [/^(mistral-(large|medium|small|nemo)|ministral|codestral|devstral|open-mistral-nemo)/, 'tj', 32_768],
  [/^pixtral/, 'tjv', 32_768],
  [/^magistral/, 'tjr', 32_768],
  [/^(mixtral|open-mixtral)/, 't', 8_192],
  [/^text-embedding/, 'e'],
  [/^qwen-turbo/, 'tjr', 16_384],
  [/^qwen-(plus|flash)/, 'tjr', 32_768],
  [/^qwen-max/, 'tj', 8_192],
  // Up to 16,384 visual tokens an image when the caller raises the pixel limit.
  [/^(qwen-vl|qwen-?2\.5-vl)/, 'v', 8_192, 16_384],
  [/^qwen3-vl/, 'tv', 32_768, 16_384],
  [/^qwen3-(max|coder|next)/, 'tj', 65_536],
  [/^(qwen3|qwen3\.\d|qwq)/, 'tjr', 32_768],
  [/^qwen-?2/, 't', 8_192],
  [/^glm-4\.[56]v|^glm-5v/, 'tvr', 32_768],
  [/^glm-4\.5/, 'tr', 98_304],
  [/^glm-(4\.[67]|5)/, 'tjr', 131_072],
  [/^grok-(2-)?vision|^grok-2-vision/, 'v', 32_768],
  [/^grok-(2|3$|3-(fast|beta|latest))/, 'tj', 32_768],
  [/^grok-4.*non-reasoning/, 'tjv', 65_536],
  [/^grok-(3-mini|code|build)/, 'tjr', 65_536],
  [/^grok-\d/, 'tjvr', 65_536],
  [/^(meta-)?llama-4/, 'tjv', 16_384],
  [/^(meta-)?llama-?3\.2.*vision/, 'v', 8_192],
  [/^(meta-)?llama-?3\.[13]/, 't', 8_192],
  [/^kimi-(k2\.[5-9]|k3|latest)/, 'tjvr', 65_536],
  [/^kimi-k2/, 'tj', 32_768],
  [/^minimax-m/, 'tr', 65_536],
  [/^command-(a|r)/, 'tj', 4_096],
  [/^nova-(2|lite|pro|premier)/, 'tv', 5_000],
  [/^sonar/, 'jv', 8_192],
  [/^nemotron-3/, 'tr', 32_768],
  [/embed/, 'e'],
  [/^whisper/, 'a'],
]

const rules: readonly Rule[] = [...openaiRules, ...anthropicRules, ...geminiRules, ...otherRules]

const capabilityLetters: readonly (readonly [letter: string, capability: Capability])[] = [
  ['t', 'tools'],
  ['j', 'json_schema'],
  ['v', 'vision'],
  ['r', 'reasoning'],
]

/** The traits that a line of letters and two limits stand for. */
export function traitsFromLetters(letters: string, maxOutputTokens?: number, imageTokenBound?: number): Traits {
  const limits = { maxOutputTokens, imageTokenBound: imageTokenBound ?? DEFAULT_IMAGE_TOKENS }
  if (letters.includes('e')) return { kind: 'embedding', capabilities: ['embedding'], ...limits }
  if (letters.includes('a')) return { kind: 'transcription', capabilities: [], ...limits }
  const extra = capabilityLetters.filter(([letter]) => letters.includes(letter)).map(([, capability]) => capability)
  return { kind: 'chat', capabilities: ['completion', ...extra], ...limits }
}

/** The letters and limits that the first matching rule gives a name; a name of no known family just completes text. */
export function traitLettersOf(name: string): { letters: string; maxOutputTokens?: number; imageTokenBound?: number } {
  const family = familyOf(name)
  const rule = rules.find(([pattern]) => pattern.test(family))
  if (!rule) return { letters: '' }
  const [, letters, maxOutputTokens, imageTokenBound] = rule
  return {
    letters,
    ...(maxOutputTokens === undefined ? {} : { maxOutputTokens }),
    ...(imageTokenBound === undefined ? {} : { imageTokenBound }),
  }
}

/** Traits of a model by its name alone, for names that the catalog does not list. */
export function traitsOf(name: string): Traits {
  const { letters, maxOutputTokens, imageTokenBound } = traitLettersOf(name)
  return traitsFromLetters(letters, maxOutputTokens, imageTokenBound)
}

/** `anthropic/claude-3.5-sonnet:beta` is of the family `claude-3.5-sonnet`. */
export function familyOf(name: string): string {
  const tail = name.slice(name.lastIndexOf('/') + 1)
  const variantAt = tail.indexOf(':')
  return (variantAt > 0 ? tail.slice(0, variantAt) : tail).toLowerCase()
}
