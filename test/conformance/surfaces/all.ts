import { chat } from './chat.ts'
import { messages } from './messages.ts'
import type { Surface } from './surface.ts'
import { text } from './text.ts'

export const surfaces: readonly Surface[] = [chat, text, messages]
