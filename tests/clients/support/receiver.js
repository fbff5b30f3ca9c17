// A real server that webhooks go to.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { after } from 'node:test';
import { Inbox } from './payquery.js';

/// A receiver on a port of its own: { url, next() }, where next() gives { headers, body, status }. `answer` says with which status it
/// answers { headers, body }.
export async function startReceiver(answer = () => 204) {
  const requests = new Inbox();
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request.setEncoding('utf8')) body += chunk;
    const status = await answer({ headers: request.headers, body });
    response.writeHead(status).end();
    requests.push({ headers: request.headers, body, status });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${server.address().port}/hook`, next: () => requests.next() };
}
