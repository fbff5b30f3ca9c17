// The webhook recipes of docs/webhooks.md whose libraries npm and PyPI have, cut out of the document and run as they stand.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { call, createOrder } from './support/payquery.js';
import { freePort, listening, place, start } from './support/programs.js';
import { startReceiver } from './support/receiver.js';

const PYTHON = process.env.CLIENTS_PYTHON ?? assert.fail('run this with `make test-clients`');
const PAGE = await readFile(new URL('../../docs/webhooks.md', import.meta.url), 'utf8');
const ENDPOINTS = '/v1/webhook-endpoints';

const RECIPES = {
  python: { file: 'receive.py', command: (port) => [PYTHON, '-m', 'flask', '--app', 'receive', 'run', '--port', port] },
  js: { file: 'receive.mjs', command: () => [process.execPath, 'receive.mjs'] },
};

/// The document's code in that language.
function cutOut(language) {
  const [, section] = PAGE.split('\n## Verify\n');
  const [, code] = section.split('\n## ')[0].match(new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, 's')) ?? assert.fail(`no recipe for ${language}`);
  return code;
}

/// What each of them is asked: what comes from payquery is passed on to the recipe, so that it can be sent again, changed.
async function startRecipe(language) {
  const { file, command } = RECIPES[language];
  const cwd = await place(file, cutOut(language));
  const PORT = String(await freePort());
  let program;
  return {
    useSecret: async (secret) => {
      await program?.stop();
      program = start(command(PORT), { cwd, env: { PORT, WEBHOOK_SECRET: secret } });
      await listening(PORT);
    },
    prints: (line) => program.find((printed) => printed === line),
    post: async ({ headers, body }) => {
      const passed = Object.entries(headers).filter(([name]) => name.startsWith('webhook-') || name === 'content-type');
      const answer = await fetch(`http://127.0.0.1:${PORT}/payquery`, { method: 'POST', headers: Object.fromEntries(passed), body });
      return answer.status;
    },
  };
}

const FORGERIES = {
  'another body': ({ headers, body }) => ({ headers, body: body.replace('order.succeeded', 'order.failed') }),
  'another id': ({ headers, body }) => ({ headers: { ...headers, 'webhook-id': 'another' }, body }),
  'another time': ({ headers, body }) => ({ headers: { ...headers, 'webhook-timestamp': `${headers['webhook-timestamp'] - 1}` }, body }),
  'another signature': ({ headers, body }) => ({ headers: { ...headers, 'webhook-signature': `v1,${'A'.repeat(43)}=` }, body }),
  'no signature': ({ body }) => ({ headers: { 'content-type': 'application/json' }, body }),
};

for (const language of Object.keys(RECIPES)) {
  test(`the ${language} recipe takes what is genuine, over a rotation too, and nothing else`, async () => {
    const recipe = await startRecipe(language);
    const receiver = await startReceiver(recipe.post);
    const endpoint = await call('POST', ENDPOINTS, { url: receiver.url, events: ['order.succeeded'] });
    await recipe.useSecret(endpoint.secret);

    const order = await createOrder();
    await call('PUT', `/v1/orders/${order.id}/status`, { status: 'succeeded', reason: '已付款 ✓' });
    const genuine = await receiver.next();
    assert.equal(genuine.status, 204);
    await recipe.prints(`order.succeeded ${genuine.headers['webhook-id']}`);
    for (const [what, forge] of Object.entries(FORGERIES)) {
      assert.equal(await recipe.post(forge(genuine)), 401, what);
    }

    const rotated = await call('POST', `${ENDPOINTS}/${endpoint.id}/rotate-secret`);
    await call('POST', `${ENDPOINTS}/${endpoint.id}/test`);
    const twiceSigned = await receiver.next();
    assert.equal(twiceSigned.status, 204);
    await recipe.useSecret(rotated.secret);
    assert.equal(await recipe.post(twiceSigned), 204);
    assert.equal(await recipe.post(genuine), 401);
    await call('DELETE', `${ENDPOINTS}/${endpoint.id}`);
  });
}
