import type { Refusal } from '../../src/core/address.ts'

const onHttps = (hosts: string) =>
  hosts
    .trim()
    .split(/\s+/)
    .map((host) => `https://${host}/`)

/** Attempts to reach something that is not the public Internet, by the check that must stop them. */
export const hostileUrls = {
  malformed: [
    '',
    ' ',
    'https://',
    'https:///',
    'example.com',
    '//example.com',
    'https://exa mple.com/',
    'https://[::1',
    'https://::1/',
    'https://[::1]x/',
    'https://[fe80::1%25eth0]/',
    'https://[1.2.3.4]/',
    'https://256.256.256.256/',
    'https://1.2.3.4.5/',
    'https://0x100000000/',
    'https://4294967296/',
    'https://example.com:65536/',
    'https://example.com:a/',
    'https://exa%00mple.com/',
    'https://exa%2fmple.com/',
    'https://example.com%00.evil.com/',
    'https://a<b>.com/',
    'https://example.com:443@/',
    'https://08.0.0.1/',
    'https://%/',
    'https://\u00ad/',
  ],
  scheme: [
    'http://example.com/',
    'http://127.0.0.1/',
    'http://169.254.169.254/latest/meta-data/',
    'ftp://example.com/',
    'file:///etc/passwd',
    'file://localhost/etc/passwd',
    'gopher://127.0.0.1:6379/_FLUSHALL',
    'dict://127.0.0.1:11211/stat',
    'data:text/html,x',
    'javascript:alert(1)',
    'blob:https://example.com/9f0e',
    'ws://example.com/',
    'wss://example.com/',
    'ldap://127.0.0.1/',
    'tftp://127.0.0.1/x',
    'jar:https://example.com!/',
    'about:blank',
    'view-source:https://example.com',
    'mailto:a@example.com',
    'redis://127.0.0.1:6379',
    'postgres://u:p@db/x',
    'localhost:8080',
    'a:b',
    'http:example.com',
    'unix:/var/run/docker.sock',
  ],
  userinfo: [
    'https://user@example.com/',
    'https://user:pass@example.com/',
    'https://:pass@example.com/',
    'https://example.com@127.0.0.1/',
    'https://example.com:443@10.0.0.1/',
    'https://example.com%40@127.0.0.1/',
    'https://a:b@c:d@example.com/',
    'https://example.com\\@127.0.0.1@x.com/'.replace('\\', '%5c'),
    'https://127.0.0.1%20@example.com/',
    'https://%00@example.com/',
    'https://sk-live-123@api.openai.com/',
    'http://user@127.0.0.1/',
  ],
  port: [
    'https://example.com:80/',
    'https://example.com:8443/',
    'https://example.com:22/',
    'https://example.com:6379/',
    'https://example.com:5432/',
    'https://example.com:0/',
    'https://example.com:65535/',
    'https://example.com:4433/',
    'https://127.0.0.1:8080/',
    'https://[::1]:11434/',
    'https://localhost:3000/',
    'https://example.com:00080/',
  ],
  ip_literal: [
    ...onHttps(`
      127.0.0.1 127.1 127.0.1 127.255.255.254 0 0.0.0.0 0x7f.1 0x7f000001 0x7f.0x0.0x0.0x1 2130706433 017700000001 0177.0.0.1
      0177.0.0.0x1 127.0.0.1. 127.1. 0x7F.1. 10.0.0.1 10.1 012.0.0.1 0xa.1 172.16.0.1 172.31.255.255 192.168.0.1 192.168.257
      0xc0a80001 3232235521 169.254.169.254 0xa9fea9fe 2852039166 0251.0376.0251.0376 169.254.43518 100.64.0.1 100.100.100.200
      168.63.129.16 192.0.0.192 198.18.0.1 224.0.0.1 240.0.0.1 255.255.255.255 4294967295 8.8.8.8 1.1 134744072
      127。0。0。1 127.0.0.1 ①②⑦.⓪.⓪.① 127.0.0.1 %31%32%37.0.0.1 127%2e0%2e0%2e1 0x0 00 0.0 1`),
    ...onHttps(`
      [::] [::1] [0:0:0:0:0:0:0:1] [::ffff:127.0.0.1] [::ffff:7f00:1] [::ffff:169.254.169.254] [::ffff:a9fe:a9fe] [::127.0.0.1]
      [64:ff9b::7f00:1] [64:ff9b::127.0.0.1] [64:ff9b:1::7f00:1] [2002:7f00:1::] [2002:a9fe:a9fe::1] [2001:0:7f00:1::]
      [2001::80ff:fffe] [fe80::1] [fe80::5efe:127.0.0.1] [fec0::1] [fc00::1] [fd00:ec2::254] [ff02::1] [2001:db8::1]
      [2606:4700:4700::1111] [::ffff:8.8.8.8] [0000:0000:0000:0000:0000:0000:0000:0001]`),
  ],
  internal_name: [
    ...onHttps(`
      localhost LOCALHOST localhost. lOcAlHoSt ⓛⓞⓒⓐⓛⓗⓞⓢⓣ local%68ost foo.localhost foo.localhost. redis postgres metadata intranet
      kubernetes kubernetes.default.svc.cluster.local metadata.google.internal metadata.goog.internal. instance-data.ec2.internal
      printer.local host.docker.internal gateway.docker.internal router.lan nas.home router.home.arpa 1.0.0.127.in-addr.arpa ldap.corp
      mail.mail app.test example.example nowhere.invalid hidden.onion name.alt box.localdomain wiki.intranet db.private x.intra
      a.workgroup com com. example.com.. .example.com a..example.com a.b.c.local. 127.0.0.0x1g a.1x ei$t.example.com exa!mple.com a~b.com`),
    `https://${'a'.repeat(64)}.com/`,
    `https://${'a.'.repeat(126)}example/`,
    `https://${'abcdefgh.'.repeat(30)}com/`,
  ],
  denied_host: [
    ...onHttps(`
      helix.acme.dev HELIX.ACME.DEV helix.acme.dev. api.helix.acme.dev a.b.helix.acme.dev hel%69x.acme.dev ｈｅｌｉｘ.acme.dev
      helix。acme。dev eu1-redis.upstash.io ep-cool.neon.tech api.ep-cool.neon.tech acme.cfargotunnel.com
      tunnel.acme.cfargotunnel.com. 10.9.8.7 0x0a090807`),
  ],
} satisfies Partial<Record<Refusal, string[]>>
