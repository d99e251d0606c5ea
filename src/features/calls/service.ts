/** Models asked from inside the program: by an area on the way to its answer, or by a job. */
export { type AgentCall, type AgentModel, askAgent } from './agent.ts'
export { askForData, type Shape } from './data.ts'
export { type EmbedWish, embedTexts } from './embed-texts.ts'
export { ask, type Question, type Reply } from './question.ts'
export { callWithin } from './within.ts'
