import { type Forge, type Hostile, header, payload, rawPayload, signedByUs } from './forge.ts'

/** The claim with each of those values, and without it. */
const each = (forge: Forge, name: string, values: readonly unknown[]): Hostile[] =>
  [...values, undefined].map((value) => ({
    name: `${name} ${JSON.stringify(value)}`.slice(0, 100),
    token: signedByUs(forge, { payload: payload(forge, { [name]: value }) }),
  }))

const NOT_TEXT = [null, 0, 1, true, [], {}, '']

/** For whom it is, and by whom. */
export function parties(forge: Forge): Hostile[] {
  const issuer = String(forge.claims.iss)
  return [
    ...each(forge, 'aud', [
      ...NOT_TEXT,
      ['helix'],
      ['helix', 'helix-admin'],
      ['helix', 'other'],
      'Helix',
      'HELIX',
      'helix ',
      ' helix',
      'helix,helix-admin',
      'helix helix-admin',
      'helix-',
      'helix-admin2',
      'other',
      'https://api.openai.com',
      '*',
      issuer,
      { helix: true },
    ]),
    ...each(forge, 'iss', [
      ...NOT_TEXT,
      [issuer],
      `${issuer}/`,
      `${issuer} `,
      ` ${issuer}`,
      issuer.toUpperCase(),
      issuer.replace('https:', 'http:'),
      `${issuer}.evil.example`,
      `${issuer}@evil.example`,
      'https://staging.helix.test',
      'https://evil.example',
      'accounts.google.com',
      '*',
    ]),
  ]
}

/** Who it is about: ids of other kinds, other shapes and none. */
export function subjects(forge: Forge): Hostile[] {
  const ids = ['sub', 'org', 'sid', 'jti']
  const wrong = (name: string) => {
    const good = String(forge.claims[name])
    const kinds = ids.filter((other) => other !== name).map((other) => forge.claims[other])
    const near = [good.toUpperCase(), `${good} `, ` ${good}`, `${good}\n`, `${good}'--`, good.replace('_', '-')]
    return [
      ...NOT_TEXT,
      [good],
      ...kinds,
      ...near,
      good.slice(0, 4),
      `${good}${'0'.repeat(64)}`,
      '../x',
      '*',
      '__proto__',
    ]
  }
  return [
    ...ids.flatMap((name) => each(forge, name, wrong(name))),
    ...each(forge, 'role', [
      ...NOT_TEXT,
      'Owner',
      'root',
      'superuser',
      'operator',
      ['owner'],
      'owner ',
      'member,owner',
    ]),
    ...each(forge, 'scope', [
      null,
      0,
      true,
      [],
      ['*:*'],
      {},
      ' ',
      '*:*  user',
      ' *:*',
      '*:* ',
      '*:*\n',
      '*:*,user',
      'A:b',
    ]),
    ...each(forge, 'ver', [null, 0, 2, -1, 1.5, '1', true, [1], {}]),
  ]
}

/** Times that are none, or not now; as texts, because JSON has no way to write some of them. */
export function times(forge: Forge): Hostile[] {
  const [iat, exp] = [Number(forge.claims.iat), Number(forge.claims.exp)]
  const never = ['NaN', 'Infinity', '-Infinity', '1e308', '1e999', '-1e308', '1e20', '9007199254740993', '-1', '-0.5']
  const notTimes = ['"string"', '""', `"${exp}"`, 'null', 'true', 'false', '[]', `[${exp}]`, '{}', '0x7fffffff', '01']
  const forms = (time: number) => [`${time}.0`, `${time}.5`, `${time}e0`, `+${time}`, `0${time}`]
  const raw = (name: string, texts: readonly string[]): Hostile[] =>
    texts.map((text) => ({
      name: `${name} ${text}`,
      token: signedByUs(forge, { payload: rawPayload(forge, name, text) }),
    }))
  return [
    ...raw('exp', [...never, ...notTimes, ...forms(exp)]),
    ...raw('exp', ['0', String(iat), String(iat - 1), String(iat + 1801), String(exp + 86_400), String(exp * 1000)]),
    ...raw('iat', [...never, ...notTimes, ...forms(iat)]),
    ...raw('iat', ['0', String(iat + 3600), String(exp), String(exp + 1), String(iat - 60), String(iat * 1000)]),
    ...raw('nbf', [...never, ...notTimes, ...forms(iat)]),
    ...raw('nbf', [String(iat + 3600), String(exp), String(iat * 1000)]),
    ...[120, 1860, 3600, 86_400].map((ago) => ({
      name: `expired ${ago} seconds ago`,
      token: signedByUs(forge, { payload: payload(forge, { iat: iat - ago - 1800, exp: iat - ago }) }),
    })),
    ...['exp', 'iat'].map((name) => ({
      name: `no ${name}`,
      token: signedByUs(forge, { payload: payload(forge, { [name]: undefined }) }),
    })),
  ]
}

/** A second member of the same name, before or behind the first, of which parsers take one or the other. */
export function duplicates(forge: Forge): Hostile[] {
  const text = payload(forge)
  const inside = text.slice(1, -1)
  const escaped = (name: string) => `\\u00${name.charCodeAt(0).toString(16)}${name.slice(1)}`
  const claims = Object.entries(forge.claims).flatMap(([name, value]) => {
    const member = `"${name}":${JSON.stringify(value)}`
    return [
      [`a second ${name} behind`, `{${inside},${member}}`],
      [`a second ${name} before`, `{${member},${inside}}`],
      [`a second ${name} with an escape`, `{${inside},"${escaped(name)}":${JSON.stringify(value)}}`],
      [`${name} by an escape only`, text.replace(`"${name}"`, `"${escaped(name)}"`)],
    ]
  })
  const head = header(forge).slice(1, -1)
  const members = ['"alg":"ES256"', '"alg":"none"', '"typ":"at+jwt"', `"kid":"${forge.kid}"`, '"kid":"sig_0"']
  return [
    ...claims.map(([name = '', body = '']) => ({ name, token: signedByUs(forge, { payload: body }) })),
    ...members.flatMap((member) => [
      { name: `header: ${member} behind`, token: signedByUs(forge, { header: `{${head},${member}}` }) },
      { name: `header: ${member} before`, token: signedByUs(forge, { header: `{${member},${head}}` }) },
    ]),
  ]
}

/** Payloads that are no JSON object as we write it. */
export function texts(forge: Forge): Hostile[] {
  const text = payload(forge)
  const bodies: Record<string, string | Uint8Array> = {
    'a space before': ` ${text}`,
    'a newline behind': `${text}\n`,
    'spaces within': text.replaceAll(',', ', '),
    'a byte order mark': `\uFEFF${text}`,
    'a comment': `${text}//`,
    'a trailing comma': text.replace(/}$/, ',}'),
    'single quotes': text.replaceAll('"', "'"),
    'a NUL behind': `${text}\u0000`,
    'bytes that are no UTF-8': Buffer.concat([Buffer.from(text.slice(0, -1)), Buffer.from([0x2c, 0x22, 0xff, 0x22])]),
    'UTF-16': Buffer.from(text, 'utf16le'),
    'two objects': `${text}${text}`,
    'an array': `[${text}]`,
    'a text': JSON.stringify(text),
    'a number': '1',
    null: 'null',
    'an empty object': '{}',
    nothing: '',
    'a prototype that has it all': `{"__proto__":${text}}`,
    'an open end': text.slice(0, -1),
    'deep nesting': `{"a":${'['.repeat(1000)}${']'.repeat(1000)}}`,
    'more than 4 KB': payload(forge, { filler: 'x'.repeat(4096) }),
  }
  return Object.entries(bodies).map(([name, body]) => ({
    name: `payload: ${name}`,
    token: signedByUs(forge, { payload: body }),
  }))
}
