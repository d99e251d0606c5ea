import type { UpstreamError } from '../../core/models.ts'

/**
 * Moderated input, and prompts that do not fit: OpenRouter, xAI and Together refuse these with 403, so that any caller
 * can have them refused at will.
 */
const ABOUT_INPUT =
  /flagged|moderation|safety|usage (?:guidelines|polic)|content polic|context length|token count|max_tokens/i
/** An account that has not enough credit for this much output may have enough for less (OpenRouter). */
const ABOUT_PRICE = /max_tokens|can only afford/i
/** A model that is not the account's to use; `model.request` is a right that a key of OpenAI's lacks altogether. */
const ABOUT_MODEL = /model(?!\.)/i

/**
 * What a refusal (401, 402, 403) is about: the credential, or what was asked with it, which says nothing about the
 * credential, the account or the health of either. Undefined for what is no refusal.
 */
export function blameOf({ fault, status, vendor }: UpstreamError): 'credential' | 'model' | 'input' | undefined {
  if (fault !== 'status' && fault !== 'reported') return undefined
  if (vendor?.code === 'insufficient_quota' || status === 401) return 'credential'
  const words = [vendor?.code, vendor?.type, vendor?.message].join(' ')
  if (status === 402) return ABOUT_PRICE.test(words) ? 'input' : 'credential'
  if (status !== 403) return undefined
  if (ABOUT_INPUT.test(words)) return 'input'
  return ABOUT_MODEL.test(words) ? 'model' : 'credential'
}
