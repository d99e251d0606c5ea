/** What a call is for: what was measured of a model is kept apart by it. */
export const taskTypes = [
  'text_generation',
  'text_analysis',
  'text_summarization',
  'question_answering',
  'code_generation',
  'code_analysis',
  'image_analysis',
  'image_captioning',
  'image_classification',
  'audio_transcription',
  'audio_analysis',
  'embedding_generation',
  'semantic_search',
  'multimodal_analysis',
] as const
export type TaskType = (typeof taskTypes)[number]
