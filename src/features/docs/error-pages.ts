import type { ErrorCode } from '../../core/errors.ts'

/** Why an error happens, and what its reader can do about it. A code without a page does not compile. */
export const errorPages: Readonly<Record<ErrorCode, { cause: string; remedy: string }>> = {
  invalid_request: {
    cause:
      'The request does not have the form that the endpoint takes: the JSON is broken, or a field is missing, unknown, or out of range.',
    remedy: 'The message names the first field at fault and its rule. Correct it and send the request again.',
  },
  missing_api_key: {
    cause: 'The request carries neither an API key nor an access token.',
    remedy: 'Send one of them as "Authorization: Bearer …". A key may also come in the header x-api-key.',
  },
  invalid_api_key: {
    cause:
      'The API key or access token is unknown, revoked or expired, or the headers do not hold exactly one of them.',
    remedy:
      'Check that the whole of it was copied and that only one is sent. Refresh a token that has ended; ask an administrator for a new key if yours was revoked.',
  },
  permission_denied: {
    cause:
      'The caller is known but may not do this: a scope is missing (a key has none that its maker has lost), only people may call the endpoint, or the key may not be used for this model or from this address.',
    remedy: 'The message says what is missing. Use another key, sign in, or have an administrator allow it.',
  },
  invalid_credentials: {
    cause: 'The user name and the password do not belong together, or the refresh token has been used or has ended.',
    remedy: 'Sign in again. After several failures an account waits for a quarter of an hour.',
  },
  wrong_password: {
    cause: 'The current password, which a change of password asks for, is not right.',
    remedy: 'Give the current password, or have a new one set with POST /api/v1/auth/forgot-password.',
  },
  not_found: {
    cause: 'Nothing is at this path, or the row does not exist in the organisation of the key.',
    remedy: 'Check the path and the id. The reference at /docs lists every path.',
  },
  model_not_found: {
    cause: 'No configured provider has a model of this name.',
    remedy: 'List the models that the key may use with GET /v1/models and ask for one of them.',
  },
  method_not_allowed: {
    cause: 'The path exists but does not take this method.',
    remedy: 'Use one of the methods in the header allow.',
  },
  conflict: {
    cause: 'The change does not fit the present state of the row, or another row already has this name.',
    remedy: 'Read the row again and repeat the change if it is still wanted.',
  },
  idempotency_in_progress: {
    cause: 'A call with this Idempotency-Key is still running.',
    remedy: 'Wait a moment and repeat the call with the same key: it answers what the first one answered.',
  },
  idempotency_mismatch: {
    cause: 'This Idempotency-Key was used within the last day for a call with another body.',
    remedy: 'Use a new key for a new call, and the same key only to repeat the same one.',
  },
  payload_too_large: {
    cause: 'The body is larger than the endpoint takes.',
    remedy: 'Send less at once: split the input, or shorten it.',
  },
  unsupported_media_type: {
    cause: 'The body is not declared as JSON in UTF-8, or it is compressed.',
    remedy: 'Send plain JSON with the header content-type: application/json.',
  },
  content_blocked: {
    cause: 'A guardrail of the organisation refused the input or the answer.',
    remedy: 'Change the text. An administrator can say which rule applies.',
  },
  rate_limit_exceeded: {
    cause: 'The key or its organisation used up its requests or tokens of the current minute.',
    remedy: 'Wait as long as the header retry-after says, then send the request again.',
  },
  request_exceeds_limit: {
    cause: 'This one request asks for more tokens than the limit allows in a whole minute, so waiting cannot help.',
    remedy: 'Shorten the input, lower max_tokens, or have the limit raised.',
  },
  insufficient_quota: {
    cause: 'The worst cost of this request does not fit into what is left of a budget.',
    remedy: 'Lower max_tokens, wait for the next budget period, or have the budget raised.',
  },
  wrong_capability: {
    cause: 'The model exists but cannot do what the endpoint asks of it: an embedding model cannot chat.',
    remedy: 'Choose a model with the capability that the message names.',
  },
  too_long: {
    cause: 'A text, a file or a list is longer than this endpoint takes; nothing is cut off silently.',
    remedy: 'Send less at once: the message names the limit.',
  },
  undecodable_image: {
    cause: 'The first bytes are those of a picture, but the rest is broken, or it has more pixels than are taken.',
    remedy: 'Open the picture in a viewer and save it again.',
  },
  no_audio_stream: {
    cause: 'The file is of a kind that holds sound, but there is none in it.',
    remedy: 'Send a recording: some files of this kind hold pictures only, or nothing at all.',
  },
  already_finished: {
    cause: 'The job has ended, so that it can no longer be cancelled.',
    remedy: 'Read its result instead.',
  },
  outbound_blocked: {
    cause:
      'The request makes the gateway fetch an address that it does not connect to, such as one of a private network.',
    remedy: 'Use a public https address.',
  },
  model_overloaded: {
    cause: 'Every target that could answer is at its limit.',
    remedy: 'Wait as long as the header retry-after says, or allow another model.',
  },
  no_target_within_caps: {
    cause: 'No target keeps the caps of cost, latency and quality that the request or its routing policy sets.',
    remedy: 'Raise the cap that the decision names, or leave it out.',
  },
  no_capable_model: {
    cause: 'No healthy model has the capability that the request needs.',
    remedy: 'Try again later, or have a provider with that capability configured.',
  },
  provider_error: {
    cause: 'The provider of the model failed.',
    remedy: 'Try again. If it lasts, ask for another model or allow a fallback.',
  },
  network_error: {
    cause: 'The provider of the model could not be reached, or the connection broke.',
    remedy: 'Try again. If it lasts, ask for another model or allow a fallback.',
  },
  all_providers_failed: {
    cause: 'Every target that was allowed for this request was tried and failed.',
    remedy: 'Try again. The field attempted lists what was tried.',
  },
  model_output_invalid: {
    cause: 'The model answered twice with something that does not have the form that was asked for.',
    remedy: 'Try again, or name a model that follows schemas better.',
  },
  ensemble_failed: {
    cause: 'Of the models that were to answer together too few did.',
    remedy:
      'The details name what became of each. Send the request again, name other members, or allow fallback_to_best, which takes what answers there are.',
  },
  upstream_timeout: {
    cause: 'The provider of the model took longer than it is given.',
    remedy: 'Try again, ask for less output, or stream the answer.',
  },
  configuration_error: {
    cause: 'The gateway is not set up completely. Its log names what is missing.',
    remedy: 'This is for the operator of the gateway: set what the log names.',
  },
  dependency_unavailable: {
    cause: 'A store that the gateway needs did not answer. The key is not at fault.',
    remedy: 'Try again. If it lasts, tell the operator of the gateway.',
  },
  budget_unavailable: {
    cause: 'A hard budget applies and cannot be read now, so nothing may be spent.',
    remedy: 'Try again. If it lasts, tell the operator of the gateway.',
  },
  internal: {
    cause: 'The gateway has a fault. What happened is in its log under the id of the request.',
    remedy: 'Report it with the value of the header x-request-id.',
  },
}
