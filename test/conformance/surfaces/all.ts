import { chat } from './chat.ts'
import { messages } from './messages.ts'
import { responses } from './responses.ts'
import type { Surface } from './surface.ts'
import { text } from './text.ts'

/** Every interface for the calls of models. */
export const surfaces: readonly Surface[] = [chat, text, messages, responses]
