/** An error with the status that the caller gets. */
export type AgentFailure = Error & { status: number }

export function failure(status: number, message: string): AgentFailure {
  return Object.assign(new Error(message), { status })
}

export const isFailure = (error: unknown): error is AgentFailure =>
  error instanceof Error && 'status' in error && typeof error.status === 'number'
