// The merchant's backend of this example: it holds the API key, creates orders, and hands the page what it may know.
//
//   PAYQUERY_URL=http://127.0.0.1:8080 PAYQUERY_API_KEY=pqk_… node merchant.mjs
//
// HOST=0.0.0.0 lets a phone in the same network reach it, and everybody else there too.
//
// Its /pay stands for the payment itself: in earnest the provider tells the backend, and the backend checks the notice
// (signature, amount) before it reports. Nobody else may call such a thing.
import { createServer } from 'node:http';
import process from 'node:process';

const { PAYQUERY_URL = 'http://127.0.0.1:8080', PAYQUERY_API_KEY, HOST = '127.0.0.1', PORT = '3000' } = process.env;

if (!PAYQUERY_API_KEY) {
  process.stderr.write('PAYQUERY_API_KEY is missing: `make run` prints one\n');
  process.exit(1);
}

async function payquery(method, path, body) {
  const response = await fetch(PAYQUERY_URL + path, {
    method,
    headers: { Authorization: `Bearer ${PAYQUERY_API_KEY}`, 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}

async function createOrder() {
  const order = { out_trade_no: `cup-${Date.now()}`, amount: 1000, currency: 'CNY', description: 'A cup of tea' };
  const { status, body } = await payquery('POST', '/v1/orders', order);
  // The secret opens this order's status, read-only. The API key never leaves the backend.
  return { status, body: status < 300 ? { id: body.id, secret: body.client_secret } : body };
}

const pay = (id) =>
  payquery('PUT', `/v1/orders/${id}/status`, { trade_state: 'SUCCESS', transaction_id: `demo-${id}`, amount: 1000 });

async function answer(method, path) {
  const paid = /^\/orders\/([0-9a-f-]{36})\/pay$/.exec(path);
  if (method === 'POST' && path === '/orders') return createOrder();
  if (method === 'POST' && paid) return pay(paid[1]);
  return { status: 404, body: {} };
}

const server = createServer(async (request, response) => {
  request.resume();
  const { status, body } = await answer(request.method, request.url).catch((error) => ({
    status: 502,
    body: { error: String(error) },
  }));
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
});
server.listen(Number(PORT), HOST, () => {
  process.stdout.write(`the merchant's backend listens on http://${HOST}:${server.address().port}\n`);
});
