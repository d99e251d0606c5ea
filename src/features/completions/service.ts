/** What other interfaces to the same models need: they translate a request, and write its answer in their own words. */
export { askCompletion, costBound, refuseUnbounded, routingOf } from './ask.ts'
export { complete, completeWhole, type WholeCall } from './complete.ts'
export { requestFor } from './for-target.ts'
export { createJsonEnd, type JsonEnd } from './json-end.ts'
export { errorFacts } from './relay.ts'
export type { Booked, Counted, MaybeLater, Rendering, StreamWriter } from './rendering.ts'
export { type Asked, estimatedPrompt, readRequest, type Translation } from './request.ts'
export { ChatOptions, ChatRequest } from './schema.ts'
