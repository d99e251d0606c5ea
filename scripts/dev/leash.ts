/**
 * Loaded into wrangler before anything else. When the process that started it goes away without a word (`kill -9`), the
 * channel to it closes, and wrangler takes its whole process group with it: nothing is left that holds a port.
 */
const PATIENCE_MS = 3_000

process.once('disconnect', () => {
  process.kill(-process.pid, 'SIGTERM')
  setTimeout(() => process.kill(-process.pid, 'SIGKILL'), PATIENCE_MS).unref()
})
