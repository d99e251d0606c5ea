import { vi } from 'vitest'

/** Faked timers would reach into the sockets of the files that come after, which then wait for clocks that stand. */
vi.useFakeTimers = () => {
  throw new Error('vi.useFakeTimers() has to stand in the test file itself, so that the file gets its own process.')
}
