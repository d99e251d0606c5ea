import { sign } from 'node:crypto'
import { base64, es256, type Forge, type Hostile, header, inputOf, payload, signedByThem, signedByUs } from './forge.ts'

/** The order of P-256, and the field's prime. */
const N = 'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551'
const P = 'ffffffff00000001000000000000000000000000ffffffffffffffffffffffff'

/** Signatures that are damaged, degenerate or of another encoding. */
export function signatures(forge: Forge): Hostile[] {
  const input = inputOf(forge, {})
  const good = es256(forge.ourKey, input)
  const [r, s] = [good.subarray(0, 32), good.subarray(32)]
  const number = (hex: string) => Buffer.from(hex.padStart(64, '0'), 'hex')
  const numbers = { zero: number('0'), one: number('1'), n: number(N), p: number(P), 'all ones': Buffer.alloc(32, 255) }
  const pairs = Object.entries(numbers).flatMap(([name, value]): [string, Buffer][] => [
    [`r = s = ${name}`, Buffer.concat([value, value])],
    [`r = ${name}`, Buffer.concat([value, s])],
    [`s = ${name}`, Buffer.concat([r, value])],
  ])
  const der = sign('sha256', Buffer.from(input), { key: forge.ourKey, dsaEncoding: 'der' })
  const derNormal = Buffer.concat([der, Buffer.alloc(Math.max(0, 64 - der.length))])
  const made: [string, Buffer][] = [
    ...pairs,
    ['r and s swapped', Buffer.concat([s, r])],
    ['r twice', Buffer.concat([r, r])],
    ['DER', der],
    ['DER, first 64 bytes', derNormal.subarray(0, 64)],
    ['with a byte behind', Buffer.concat([good, Buffer.alloc(1)])],
    ['with a byte before', Buffer.concat([Buffer.alloc(1), good])],
    ['twice', Buffer.concat([good, good])],
    ['of the payload alone', es256(forge.ourKey, payload(forge))],
    ['of the texts', es256(forge.ourKey, `${header(forge)}.${payload(forge)}`)],
    ['of the input and a dot', es256(forge.ourKey, `${input}.`)],
    ['of another token', es256(forge.ourKey, inputOf(forge, { payload: payload(forge, { jti: 'tok_2' }) }))],
    ['over SHA-512', sign('sha512', Buffer.from(input), { key: forge.ourKey, dsaEncoding: 'ieee-p1363' })],
    ...[0, 1, 8, 16, 31, 32, 33, 48, 62, 63].map((length): [string, Buffer] => [
      `of ${length} bytes`,
      good.subarray(0, length),
    ]),
    ...Array.from({ length: 64 }, (_, at): [string, Buffer] => {
      const flipped = Buffer.from(good)
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8))
      return [`with a bit of byte ${at} turned`, flipped]
    }),
  ]
  return made.map(([name, signature]) => ({ name: `signature ${name}`, token: `${input}.${base64(signature)}` }))
}

/** Good segments, put together wrongly. */
export function assemblies(forge: Forge): Hostile[] {
  const token = signedByUs(forge)
  const [head = '', body = '', signature = ''] = token.split('.')
  const other = signedByUs(forge, { payload: payload(forge, { jti: 'tok_2' }) }).split('.')
  const standard = (text: string) => text.replaceAll('-', '+').replaceAll('_', '/')
  const spare = (text: string) => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    return `${text.slice(0, -1)}${alphabet[alphabet.indexOf(text.at(-1) ?? '') + 1] ?? 'A'}`
  }
  const made: Record<string, string> = {
    nothing: '',
    'one dot': '.',
    'two dots': '..',
    'four dots': '....',
    'header and payload swapped': `${body}.${head}.${signature}`,
    'signature first': `${signature}.${head}.${body}`,
    'payload twice': `${body}.${body}.${signature}`,
    'header twice': `${head}.${head}.${signature}`,
    'the payload of another': `${head}.${other[1]}.${signature}`,
    'the signature of another': `${head}.${body}.${other[2]}`,
    'no signature': `${head}.${body}`,
    'no signature after the dot': `${head}.${body}.`,
    'no header': `.${body}.${signature}`,
    'no payload': `${head}..${signature}`,
    'a detached payload': `${head}..${base64(es256(forge.ourKey, `${head}.`))}`,
    'a dot behind': `${token}.`,
    'a dot before': `.${token}`,
    'a fourth segment': `${token}.AAAA`,
    'five segments, as if encrypted': `${head}.AAAA.${body}.${signature}.AAAA`,
    'an encrypted token': `${base64('{"alg":"dir","enc":"A256GCM"}')}..AAAAAAAAAAAAAAAA.${body}.AAAAAAAAAAAAAAAAAAAAAA`,
    'an encrypted token to our key': `${base64(header(forge, { alg: 'ECDH-ES', enc: 'A256GCM' }))}..AAAA.${body}.AAAA`,
    'JSON serialisation': JSON.stringify({ protected: head, payload: body, signature }),
    'general JSON serialisation': JSON.stringify({ payload: body, signatures: [{ protected: head, signature }] }),
    'a space before': ` ${token}`,
    'a space behind': `${token} `,
    'a newline behind': `${token}\n`,
    'a tab within': `${head}.\t${body}.${signature}`,
    'a newline within the signature': `${head}.${body}.${signature.slice(0, 43)}\n${signature.slice(43)}`,
    'a space within the payload': `${head}.${body.slice(0, 20)} ${body.slice(20)}.${signature}`,
    'a NUL behind': `${token}\u0000`,
    'padding behind the signature': `${token}==`,
    'padding behind the payload': `${head}.${body}=.${signature}`,
    'padding behind the header': `${head}=.${body}.${signature}`,
    'spare bits in the signature': `${head}.${body}.${spare(signature)}`,
    'quotes around': `"${token}"`,
    'the word Bearer': `Bearer ${token}`,
    'two tokens': `${token},${token}`,
    'a fragment behind': `${token}#`,
    'a query behind': `${token}?x=1`,
    'upper case': token.toUpperCase(),
    'percent encoding': token.replaceAll('.', '%2E'),
    'full-width dots': token.replaceAll('.', '\uFF0E'),
    'a token in a token': signedByUs(forge, { header: header(forge, { cty: 'JWT' }), payload: JSON.stringify(token) }),
  }
  const slashed = standard(token)
  if (slashed !== token) made['the standard alphabet of base64'] = slashed
  return Object.entries(made).map(([name, text]) => ({ name: `form: ${name}`, token: text }))
}

/** Well made, by somebody else: another key under our name, another installation with its own. */
export function foreign(forge: Forge): Hostile[] {
  const environments = ['https://staging.helix.test', 'http://127.0.0.1:8787', 'https://helix.example.com']
  return [
    { name: 'their key under our name', token: signedByThem(forge) },
    ...['owner', 'admin', 'member', 'readonly'].map((role) => ({
      name: `their key makes itself ${role}`,
      token: signedByThem(forge, { payload: payload(forge, { role, aud: 'helix-admin' }) }),
    })),
    ...environments.flatMap((iss) => [
      { name: `${iss}, its own key`, token: signedByThem(forge, { payload: payload(forge, { iss }) }) },
      {
        name: `${iss}, its own key and name`,
        token: signedByThem(forge, {
          header: header(forge, { kid: 'sig_01hzzzzzzzzzzzzzzzzzzzzzzz' }),
          payload: payload(forge, { iss }),
        }),
      },
      { name: `${iss}, our key`, token: signedByUs(forge, { payload: payload(forge, { iss }) }) },
    ]),
  ]
}
