import { AppError } from '../../core/errors.ts'

/** Why a token was not exchanged: for the log, never for whoever sent it. */
export type ExchangeRefusal =
  | 'malformed'
  | 'unknown_issuer'
  | 'wrong_audience'
  | 'wrong_party'
  | 'wrong_algorithm'
  | 'unknown_key'
  | 'bad_signature'
  | 'expired'
  | 'bad_times'
  | 'condition_not_met'
  | 'no_subject'
  | 'unknown_subject'
  | 'not_a_member'
  | 'above_provider'
  | 'email_taken'
  | 'org_full'
  | 'provider_changed'

/** The one answer to every token that is refused; its `cause` is the reason. */
export const refused = (reason: ExchangeRefusal) =>
  new AppError('invalid_credentials', 'This token is not accepted.', { cause: reason })
