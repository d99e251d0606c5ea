import { constants, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import {
  base64,
  type Forge,
  type Hostile,
  header,
  inputOf,
  payload,
  signedByHmac,
  signedByThem,
  signedByUs,
} from './forge.ts'

const NONE = ['none', 'None', 'NONE', 'NoNe', 'nOnE', 'nonE', ' none', 'none ']

/** Unsigned tokens that say so. */
export function unsigned(forge: Forge): Hostile[] {
  const [, , genuine = ''] = signedByUs(forge).split('.')
  const signatures = { nothing: '', zeros: 'A'.repeat(86), genuine, noise: base64(Buffer.alloc(64, 7)) }
  return NONE.flatMap((alg) =>
    Object.entries(signatures).map(([name, signature]) => ({
      name: `alg "${alg}" and ${name} for a signature`,
      token: `${inputOf(forge, { header: header(forge, { alg }) })}.${signature}`,
    })),
  )
}

/** The public key, or nothing, used as a secret that both sides share. */
export function symmetric(forge: Forge): Hostile[] {
  const pem = String(forge.ourPublicKey.export({ type: 'spki', format: 'pem' }))
  const { crv, kty, x = '', y = '' } = forge.ourPublicJwk
  const point = [Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]
  const secrets: Record<string, string | Buffer> = {
    'the PEM': pem,
    'the PEM without its last newline': pem.trimEnd(),
    'the PEM without line ends': pem.replaceAll('\n', ''),
    'the DER': forge.ourPublicKey.export({ type: 'spki', format: 'der' }),
    'the JWK': JSON.stringify(forge.ourPublicJwk),
    'the JWK as for a thumbprint': JSON.stringify({ crv, kty, x, y }),
    'the JWK as served': JSON.stringify({ kty, crv, x, y, kid: forge.kid, alg: 'ES256', use: 'sig' }),
    'the raw point': Buffer.concat([Buffer.from([4]), ...point]),
    'the bytes of x': point[0] ?? '',
    'the text of x': x,
    'the name of the key': forge.kid,
    'an empty secret': '',
    'the word secret': 'secret',
    'the issuer': String(forge.claims.iss),
  }
  return Object.entries(secrets).flatMap(([name, secret]) => [
    ...['256', '384', '512'].map((bits) => ({
      name: `HS${bits} with ${name}`,
      token: signedByHmac(forge, secret, { header: header(forge, { alg: `HS${bits}` }), hash: `sha${bits}` }),
    })),
    { name: `ES256 that is a MAC with ${name}`, token: signedByHmac(forge, secret, { hash: 'sha512' }) },
  ])
}

/** Algorithms that our keys are not for: named only, or really used with a key of that kind. */
export function otherAlgorithms(forge: Forge): Hostile[] {
  const named = ['RS256', 'PS256', 'ES384', 'ES512', 'ES256K', 'EdDSA', 'Ed25519', 'HS256', 'es256', 'ES256 ', 'ES']
  const values = [...named, '', 'A256GCM', 'dir', 'RSA-OAEP', null, 0, true, [], ['ES256'], {}, { alg: 'ES256' }]
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  const pss = { key: rsa, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }
  const ec = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve }).privateKey
  const real: [string, string | null, Parameters<typeof sign>[2]][] = [
    ['RS256', 'sha256', rsa],
    ['PS256', 'sha256', pss],
    ['ES384', 'sha384', plain(ec('P-384'))],
    ['ES512', 'sha512', plain(ec('P-521'))],
    ['EdDSA', null, generateKeyPairSync('ed25519').privateKey],
  ]
  return [
    ...values.map((alg) => ({
      name: `alg ${JSON.stringify(alg)} over our own signature`,
      token: signedByUs(forge, { header: header(forge, { alg }) }),
    })),
    ...real.flatMap(([alg, hash, key]) =>
      [alg, 'ES256'].map((claimed) => {
        const input = inputOf(forge, { header: header(forge, { alg: claimed }) })
        return {
          name: `${alg} of theirs as ${claimed}`,
          token: `${input}.${base64(sign(hash, Buffer.from(input), key))}`,
        }
      }),
    ),
  ]
}

const plain = (key: KeyObject) => ({ key, dsaEncoding: 'ieee-p1363' as const })

const KIDS: readonly unknown[] = [
  '../../../../dev/null',
  '/dev/null',
  '/proc/self/environ',
  'C:\\windows\\win.ini',
  'file:///etc/passwd',
  "' or '1'='1",
  "x' union select 'AAAA' --",
  "'; drop table signing_keys; --",
  '" or ""="',
  'https://evil.example/key',
  '//evil.example/key',
  'data:application/json,{}',
  '$(id)',
  '`id`',
  '| id',
  '%00',
  '\u0000',
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'sig_',
  'sig_00000000000000000000000000',
  'SIG_00000000000000000000000000',
  '',
  ' ',
  '*',
  'x'.repeat(10_240),
  null,
  0,
  -1,
  true,
  [],
  {},
  { toString: 'x' },
]

/** Names of keys that lead elsewhere. */
export function kids(forge: Forge): Hostile[] {
  const around = [
    [forge.kid],
    { kid: forge.kid },
    ` ${forge.kid}`,
    `${forge.kid}\n`,
    `${forge.kid}\u0000`,
    `/${forge.kid}`,
  ]
  return [...KIDS, ...around, undefined].flatMap((kid) => {
    const parts = { header: header(forge, { kid }) }
    const name = `kid ${String(JSON.stringify(kid)).slice(0, 60)}`
    return [
      { name: `${name}, signed by us`, token: signedByUs(forge, parts) },
      { name: `${name}, signed by them`, token: signedByThem(forge, parts) },
      { name: `${name}, a MAC with nothing`, token: signedByHmac(forge, '', { ...parts, hash: 'sha512' }) },
    ]
  })
}

/** Keys that a token brings along, and orders to its reader. */
export function parameters(forge: Forge): Hostile[] {
  const jwk = { ...forge.theirPublicJwk, kid: forge.kid, alg: 'ES256', use: 'sig' }
  const der = base64(forge.ourPublicKey.export({ type: 'spki', format: 'der' }))
  const changes: Record<string, unknown>[] = [
    { jwk },
    { jwk: forge.ourPublicJwk },
    { jwk, kid: undefined },
    { jwk: null },
    ...[
      'https://evil.example/jwks',
      'http://127.0.0.1/',
      'file:///etc/passwd',
      '',
      `${forge.claims.iss}@evil.example`,
    ].flatMap((url) => [{ jku: url }, { jku: url, kid: undefined }, { x5u: url }]),
    { x5c: [der] },
    { x5c: [] },
    { x5c: [der], kid: undefined },
    { x5t: 'AAAAAAAAAAAAAAAAAAAAAAAAAAA' },
    { 'x5t#S256': 'A'.repeat(43) },
    { crit: ['exp'], exp: 1 },
    { crit: ['b64'], b64: true },
    { crit: ['b64'], b64: false },
    { crit: [] },
    { crit: null },
    { crit: 'exp' },
    { crit: ['alg'] },
    { crit: ['http://example.com/UNDEFINED'], 'http://example.com/UNDEFINED': true },
    { crit: ['__proto__'] },
    { b64: false },
    { b64: true },
    { b64: 'false' },
    { zip: 'DEF' },
    { zip: 'GZIP' },
    { zip: null },
    { cty: 'JWT' },
    { cty: 'JSON' },
    { enc: 'A256GCM' },
    { epk: forge.theirPublicJwk },
    { p2c: 1e9, p2s: 'AAAA' },
    { iss: forge.claims.iss },
    { aud: 'helix' },
    { nonce: 'x' },
    { unknown: 'x' },
  ]
  return changes.flatMap((change) => {
    const parts = { header: header(forge, change) }
    const name = `header with ${JSON.stringify(change).slice(0, 80)}`
    return [
      { name: `${name}${'kid' in change ? ' and no kid' : ''}, signed by us`, token: signedByUs(forge, parts) },
      { name: `${name}${'kid' in change ? ' and no kid' : ''}, signed by them`, token: signedByThem(forge, parts) },
    ]
  })
}

/** A payload that is not encoded, as `b64: false` asks for (RFC 7797). */
export function unencoded(forge: Forge): Hostile[] {
  const head = base64(header(forge, { b64: false, crit: ['b64'] }))
  const body = payload(forge)
  return [body, body.replaceAll('.', '_'), ''].map((text, at) => ({
    name: `payload ${at} that is not encoded`,
    token: `${head}.${text}.${signedByUs(forge).split('.')[2]}`,
  }))
}

/** Types of other tokens. */
export function types(forge: Forge): Hostile[] {
  const values = ['JWT', 'jwt', 'at+JWT', 'AT+JWT', 'application/at+jwt', 'at+jwt ', ' at+jwt', 'id+jwt', 'dpop+jwt']
  return [...values, 'logout+jwt', 'JOSE', '', null, 0, ['at+jwt'], {}, undefined].map((typ) => ({
    name: `typ ${JSON.stringify(typ)}`,
    token: signedByUs(forge, { header: header(forge, { typ }) }),
  }))
}
