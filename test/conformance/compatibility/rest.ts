import { both, type Feature, sampled } from './words.ts'

/** What is about neither. */
export const rest: readonly Feature[] = [
  {
    name: 'who asks',
    ask: { ...both({ user: 'someone' }), messages: { asked: { metadata: { user_id: 'someone' } } } },
  },
  { name: '`metadata`', ask: both({ metadata: { job: '1' } }) },
  { name: 'a tier that costs more or less', ask: both({ service_tier: 'flex' }) },
  { name: '`prompt_cache_key`', ask: both({ prompt_cache_key: 'k' }) },
  { name: '`prediction`', ask: { chat: { asked: { prediction: { type: 'content', content: 'Hi' } } } } },
  { name: 'a field that nobody knows', ask: { ...sampled({ odd: 1 }), messages: { asked: { odd: 1 } } } },
]
