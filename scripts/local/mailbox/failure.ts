/** An error that becomes a status and a body in the shape of Resend's errors. */
export type MailboxFailure = Error & { status: number; code: string }

export const failure = (status: number, code: string, message: string): MailboxFailure =>
  Object.assign(new Error(message), { status, code })

export const isFailure = (error: unknown): error is MailboxFailure =>
  error instanceof Error && 'status' in error && typeof error.status === 'number' && 'code' in error

/** https://resend.com/docs/api-reference/errors */
export const failureBody = ({ status, code, message }: MailboxFailure) => ({ statusCode: status, name: code, message })
