import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { WatchErrorCode } from 'payquery-client';
import type { Treatment } from '../support/proxy';
import { freePort, Service } from '../support/service';
import { until } from '../support/waiting';
import { type Scenario, type Stage, TRANSPORTS, TROUBLED_FIRST } from './scenario';

const NOWHERE = '0195f3a0-0000-7000-8000-000000000000';
const HTML = { 'content-type': 'text/html' };
const EVERY = [...TRANSPORTS, 'auto'] as const;

/** The watch ends, the page is told why, and asking on is of no use. */
const fatal = (code: WatchErrorCode, requests: number): Pick<Scenario, 'hears' | 'play'> => ({
  hears: [`fatal ${code}`],
  async play({ payer, proxy }) {
    await payer.hears('fatal');
    await payer.ask('call', 'refresh');
    await payer.ask('call', 'resume');
    assert.equal(await payer.ask('timers'), 0);
    assert.equal(proxy.seen.length, requests, 'it is not asked again');
  },
});

/** The page is told once, while it is tried again and again. */
const hint = (code: WatchErrorCode): Pick<Scenario, 'hears' | 'play'> => ({
  hears: [`error ${code}`],
  async play({ payer }) {
    await until('it failed four times', async () => (await payer.ask('failures')) >= 4);
    await payer.ask('call', 'stop');
  },
});

const credentials: Scenario[] = EVERY.flatMap((transport): Scenario[] => [
  {
    name: `${transport}: a wrong secret ends the watch`,
    transport,
    before(stage) {
      stage.order = { ...stage.order, client_secret: 'pqs_wrong' };
    },
    ...fatal('order_not_found', 1),
  },
  {
    name: `${transport}: an unknown order ends the watch`,
    transport,
    before(stage) {
      stage.order = { ...stage.order, id: NOWHERE };
    },
    ...fatal('order_not_found', 1),
  },
]);

/** A host whose certificate nobody has signed. */
async function listenSecurely({ t }: Stage): Promise<string> {
  const place = mkdtempSync(join(tmpdir(), 'payquery-tls-'));
  t.after(() => rmSync(place, { recursive: true }));
  const [key, cert] = [join(place, 'key.pem'), join(place, 'cert.pem')];
  const subject = ['-subj', '/CN=localhost', '-days', '1', '-keyout', key, '-out', cert];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
  execFileSync('openssl', ['req', '-x509', ...kind, '-nodes', ...subject], { stdio: 'ignore' });
  const server = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (_, answer) => answer.end('{}'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return `https://127.0.0.1:${(server.address() as { port: number }).port}`;
}

const hosts: Scenario[] = EVERY.flatMap((transport): Scenario[] => [
  {
    name: `${transport}: nobody at baseUrl is told once, and is no end`,
    transport,
    async before(stage) {
      stage.baseUrl = `http://127.0.0.1:${await freePort()}`;
    },
    ...hint('unreachable'),
  },
  {
    name: `${transport}: a certificate that nobody signed is told once, and is no end`,
    transport,
    async before(stage) {
      stage.baseUrl = await listenSecurely(stage);
    },
    ...hint('unreachable'),
  },
  {
    name: `${transport}: a host that does not speak TLS is told once, and is no end`,
    transport,
    before(stage) {
      stage.baseUrl = stage.service.url.replace('http:', 'https:');
    },
    ...hint('unreachable'),
  },
]);

const oneTooMany = (stage: Stage) => {
  stage.baseUrl += '/api/';
};

/** A socket that is refused tells a browser nothing, and so nobody. */
const otherSites: Scenario[] = EVERY.flatMap((transport): Scenario[] => [
  {
    name: `${transport}: another website at baseUrl is no payquery`,
    transport,
    treat: () => ({ answer: 404, headers: HTML, body: '<html>Not found</html>' }),
    ...(transport === 'websocket' ? hint('unreachable') : fatal('no_service', 1)),
  },
  {
    name: `${transport}: a path too many at baseUrl leads to no payquery`,
    transport,
    before: oneTooMany,
    where: ({ name }) => name !== 'Chromium',
    ...(transport === 'websocket' ? hint('unreachable') : fatal('no_service', 1)),
  },
  {
    name: `${transport}: a path too many at baseUrl, which a page may not read, is told once, and is no end`,
    transport,
    before: oneTooMany,
    where: ({ name }) => name === 'Chromium',
    ...hint('unreachable'),
  },
]);

const ANSWERS: [what: string, treatment: Treatment, code: WatchErrorCode][] = [
  ['an HTML page', { answer: 200, headers: HTML, body: '<html>Welcome</html>' }, 'bad_answer'],
  ['an HTML page of a firewall', { answer: 403, headers: HTML, body: '<html>Blocked</html>' }, 'bad_answer'],
  ['an HTML page of a proxy', { answer: 502, headers: HTML, body: '<html>Bad Gateway</html>' }, 'unavailable'],
  [
    'JSON of something else',
    { answer: 200, headers: { 'content-type': 'application/json' }, body: '{"ok":true}' },
    'bad_answer',
  ],
  ['nothing', { answer: 200 }, 'bad_answer'],
  ['a 304 to one who knows nothing', { answer: 304 }, 'bad_answer'],
];

const answers: Scenario[] = TRANSPORTS.flatMap((transport) =>
  ANSWERS.map(([what, treatment, code]) => ({
    name: `${transport}: ${what} where the document is due is told once, and asked again`,
    transport,
    treat: (_, index) => (index < 3 ? treatment : 'pass'),
    hears: TROUBLED_FIRST(transport === 'websocket' ? 'unreachable' : code),
  })),
);

const ends: Scenario[] = (
  [
    [401, 'unauthorized'],
    [410, 'gone'],
  ] as const
).flatMap(([status, code]) =>
  (['longpoll', 'polling', 'sse'] as const).map((transport) => ({
    name: `${transport}: ${status} ends the watch with ${code}`,
    transport,
    treat: () => ({ answer: status }),
    ...fatal(code, 1),
  })),
);

const OPTIONS: [what: string, change: (stage: Stage) => void][] = [
  [
    'a baseUrl without a scheme',
    (stage) => {
      stage.baseUrl = 'pay.example.com';
    },
  ],
  [
    'a baseUrl of another scheme',
    (stage) => {
      stage.baseUrl = 'wss://pay.example.com';
    },
  ],
  ...['?shop=1', '/#/home', ' ', '/a b', '@pay.example.com'].map((more): [string, (stage: Stage) => void] => [
    `a baseUrl with ${JSON.stringify(more)}`,
    (stage) => {
      stage.baseUrl += more;
    },
  ]),
  [
    'a baseUrl that begins with another host',
    (stage) => {
      stage.baseUrl = stage.baseUrl.replace('http:', '');
    },
  ],
  ...['pqs_秘密', 'pqs_a\n', 'pqs a', 'pqs_\u0000'].map((secret): [string, (stage: Stage) => void] => [
    `the clientSecret ${JSON.stringify(secret)}, which no header can hold,`,
    (stage) => {
      stage.order = { ...stage.order, client_secret: secret };
    },
  ]),
  [
    'no orderId',
    (stage) => {
      stage.order = { ...stage.order, id: '' };
    },
  ],
  [
    'no clientSecret',
    (stage) => {
      stage.order = { ...stage.order, client_secret: '' };
    },
  ],
  [
    "the merchant's API key for a clientSecret",
    (stage) => {
      stage.order = { ...stage.order, client_secret: Service.apiKey() };
    },
  ],
];

export const badInput: readonly Scenario[] = [
  ...credentials,
  ...hosts,
  ...otherSites,
  ...answers,
  ...ends,
  ...OPTIONS.map(
    ([what, before]): Scenario => ({
      name: `${what} is refused before anything is asked`,
      transport: 'auto',
      before,
      ...fatal('bad_options', 0),
    }),
  ),
  ...([[], 'pigeon', ['polling', 'pigeon'], 'constructor', null] as never[]).map((transport) => ({
    name: `the transport ${JSON.stringify(transport)} is refused before anything is asked`,
    transport,
    ...fatal('bad_options', 0),
  })),
  {
    name: 'an id that is none ends the watch',
    transport: 'polling',
    before(stage) {
      stage.order = { ...stage.order, id: 'not an id/..' };
    },
    ...fatal('refused', 1),
  },
  {
    name: "another order's document is none",
    transport: 'polling',
    async before({ service, proxy }) {
      const other = await service.createOrder();
      await service.report(other, 'succeeded');
      const url = `${service.url}/v1/orders/${other.id}/status`;
      const answer = await fetch(url, { headers: { Authorization: `Bearer ${other.client_secret}` } });
      const replay = await answer.text();
      proxy.treat = (_, index) => (index ? 'pass' : { replay });
    },
    hears: TROUBLED_FIRST('bad_answer'),
  },
];
