/** How several models answer one call: what the calls of models need of it. Nothing here calls a model. */
export { type MemberAnswer, textOf, tokenProbabilityOf } from './answers.ts'
export { bestJudged } from './best-of-n.ts'
export { sureEnough } from './cascade.ts'
export { type Choice, choose, type Fallback } from './choose.ts'
export { agreementOf } from './confidence.ts'
export { saveConfig } from './config.ts'
export {
  JUDGE_OUTPUT_TOKENS,
  JUDGE_PASSES,
  JUDGE_TEMPERATURE,
  judgeMessages,
  type Pass,
  readVerdict,
  shuffled,
  verdictFormat,
  verdictOf,
} from './judge.ts'
export { isDecided } from './majority.ts'
export { MERGE_EXTRA_TOKENS, mergedFormat, mergeMessages, readMerged } from './merge.ts'
export { shownBytes } from './prompt-text.ts'
export { secondRound } from './round.ts'
export { EnsembleConfigView, EnsembleOptions, SaidEnsemble, SomeEnsemble } from './schema.ts'
export { asksJudge, type EnsembleSettings, settingsOf } from './settings.ts'
export { noteWins, readReliability } from './wins.ts'
