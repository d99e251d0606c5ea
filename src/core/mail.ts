export type Mail = {
  /** One address, without a name. */
  to: string
  subject: string
  /** What a reader without HTML sees. */
  text: string
  html?: string
}

/** Sends mails, each once and without retries. */
export type Mailer = {
  /**
   * Resolves when the provider has taken the mail, which is not yet its delivery. Throws `DependencyError('mail')` when
   * it did not take it, and `AppError('configuration_error')` when the environment names no provider.
   */
  send(mail: Mail): Promise<void>
}
