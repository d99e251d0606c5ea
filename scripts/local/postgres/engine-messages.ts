/** What the main thread asks of the thread that runs PGlite. */
export type EngineRequest =
  /** Run `before` (when given) and then `cycle`; the cycle is not run when `before` fails. */
  | { type: 'run'; before: Uint8Array | undefined; cycle: Uint8Array }
  /** Write everything down and stop. */
  | { type: 'close' }

/** What the thread answers. */
export type EngineReply =
  /** The answer of Postgres to a startup message. */
  | { type: 'ready'; startup: Uint8Array }
  | { type: 'unusable'; reason: string }
  /** `refused`: the bytes are the answer to `before`. */
  | { type: 'result'; bytes: Uint8Array<ArrayBuffer>; refused: boolean }
  | { type: 'closed' }

export type EngineStart = { dataDir: string | undefined; program: WebAssembly.Module }
