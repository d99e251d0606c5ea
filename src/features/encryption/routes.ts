import { get, post } from '../../http/route.ts'
import { rotate } from './rotation.ts'
import { EncryptionStatus, RotationJob } from './schema.ts'
import { encryptionStatus } from './status.ts'

export const routes = [
  get(
    '/api/v1/encryption/status',
    {
      summary: 'Show the data keys of the organisation and what is sealed under them',
      scope: 'governance:write',
      response: EncryptionStatus,
    },
    (ctx) => encryptionStatus(ctx),
  ),

  post(
    '/api/v1/encryption/rotate',
    {
      summary: 'Replace the data key of the organisation',
      description:
        'New values are sealed with a new key, here at once and everywhere within five minutes. What older keys have ' +
        'sealed goes on to open and is sealed again, 500 rows a call: while the status is running, call again. For a ' +
        'day such a call goes on with the same key; when everything is under it, or after that day, a call makes ' +
        'another one.',
      scope: 'governance:write',
      response: RotationJob,
      status: 202,
    },
    (ctx) => rotate(ctx),
  ),
]
