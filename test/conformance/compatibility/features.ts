import { conversation } from './conversation.ts'
import { output } from './output.ts'
import { rest } from './rest.ts'
import { tools } from './tools.ts'
import type { Feature } from './words.ts'

/** What can be asked, by what it is about. */
export const features: readonly { about: string; list: readonly Feature[] }[] = [
  { about: 'The conversation', list: conversation },
  { about: 'Tools', list: tools },
  { about: 'The answer', list: output },
  { about: 'The rest', list: rest },
]
