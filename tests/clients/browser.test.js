// A real browser: SSE, WebSocket, and STOMP over every SockJS transport that sockjs-client has in it. The pages come from another
// origin than payquery, as a merchant's do; where a transport needs the same one, the page is put there.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';
import { SOCKET_BASE, URL_BASE, createOrder, seeThrough } from './support/payquery.js';

const PAGES = process.env.PAGES_URL;
const file = (path) => new URL(path, import.meta.url);
const FILES = {
  '/': ['text/html', file('./support/page.html')],
  '/sockjs.js': ['text/javascript', file('./node_modules/sockjs-client/dist/sockjs.js')],
  '/stomp.js': ['text/javascript', file('./node_modules/@stomp/stompjs/bundles/stomp.umd.js')],
};
/// A page of payquery's own origin, which is not payquery's: this test answers for it.
const SAME_ORIGIN_PAGE = `${URL_BASE}/pages/`;

let browser;
let pages;

before(async () => {
  pages = createServer(async (request, response) => {
    const [type, path] = FILES[request.url] ?? [];
    if (!path) return response.writeHead(404).end();
    response.writeHead(200, { 'content-type': type }).end(await readFile(path));
  });
  await new Promise((resolve) => pages.listen(new URL(PAGES).port, '127.0.0.1', resolve));
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox'] });
});

after(async () => {
  await browser?.close();
  pages?.closeAllConnections?.();
  pages?.close();
});

/// A page, what its scripts found wrong, and the paths that it asked payquery for.
async function openPage(address) {
  const page = await browser.newPage();
  const asked = new Set();
  page.on('request', (request) => asked.add(new URL(request.url()).pathname.split('/').at(-1)));
  page.on('pageerror', (error) => assert.fail(error));
  for (const [path, [contentType, from]] of Object.entries(FILES)) {
    const body = await readFile(from);
    await page.route(new URL(path.slice(1), SAME_ORIGIN_PAGE).href, (route) => route.fulfill({ contentType, body }));
  }
  await page.goto(address);
  return { page, asked };
}

/// Sees an order through in a page, by one of the functions of page.html.
async function follow(address, how, options) {
  const order = await createOrder();
  const { page, asked } = await openPage(address);
  await page.evaluate(([how, options]) => window[how](options), [how, { ...options, order }]);
  let seen = 0;
  await seeThrough(order, async () => {
    await page.waitForFunction((seen) => window.told.length > seen || window.failed, seen);
    assert.equal(await page.evaluate(() => window.failed), null);
    seen += 1;
    return page.evaluate((at) => window.told[at], seen - 1);
  });
  const transport = await page.evaluate(() => window.stop());
  await page.close();
  return { transport, asked };
}

test('EventSource, and it does not come back after the final status', async () => {
  const order = await createOrder();
  const { page } = await openPage(PAGES);
  await page.evaluate(([url]) => window.followEvents({ url }), [`${URL_BASE}/v1/orders/${order.id}/status?client_secret=${order.secret}`]);
  let seen = 0;
  await seeThrough(order, async () => {
    await page.waitForFunction((seen) => window.told.length > seen, seen);
    seen += 1;
    return page.evaluate((at) => window.told[at], seen - 1);
  });
  await page.waitForFunction(() => window.source.readyState === EventSource.CLOSED);
  await page.close();
});

test('WebSocket', async () => {
  await follow(PAGES, 'followSocket', { url: `${SOCKET_BASE}/v1/ws` });
});

test('STOMP over a WebSocket', async () => {
  await follow(PAGES, 'followStomp', { url: `${SOCKET_BASE}/ws` });
});

// The transport, and the last part of a path that only it asks for.
const TRANSPORTS = [
  ['websocket', null],
  ['xhr-streaming', 'xhr_streaming'],
  ['eventsource', 'eventsource'],
  ['iframe-eventsource', 'eventsource'],
  ['iframe-htmlfile', 'htmlfile'],
  ['xhr-polling', 'xhr'],
  ['iframe-xhr-polling', 'xhr'],
  ['jsonp-polling', 'jsonp_send'],
];

for (const [name, path] of TRANSPORTS) {
  test(`SockJS by ${name}`, async () => {
    const { transport, asked } = await follow(PAGES, 'followSockJS', { url: `${URL_BASE}/ws`, transports: name });
    assert.equal(transport, name);
    if (path) assert.ok(asked.has(path), [...asked].join(' '));
  });
}

// Of old browsers only: this one has it on pages of the same origin.
test('SockJS by htmlfile', async () => {
  const options = { url: `${URL_BASE}/ws`, transports: 'htmlfile' };
  const { transport, asked } = await follow(SAME_ORIGIN_PAGE, 'followSockJS', options);
  assert.equal(transport, 'htmlfile');
  assert.ok(asked.has('htmlfile'), [...asked].join(' '));
});
