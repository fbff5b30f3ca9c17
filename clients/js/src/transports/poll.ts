import { parseJson } from '../document';
import { readPace } from '../pace';
import { authorization, judgeAnswer, type Port, type Transport } from './transport';

export const polling: Transport = (port) => openPoll(port, 0);

export const longpoll: Transport = (port) => openPoll(port, port.timing.wait);

/**
 * One request. With `most`, it is held for up to so many seconds if it can prove what it knows; the first one cannot, and
 * after trouble a quick answer is worth more.
 */
function openPoll(port: Port, most: number): () => void {
  const { adapter, clock, timing } = port;
  const version = port.version();
  const wait = version && !port.troubled() ? most : 0;
  const asked = clock.now();
  const headers: Record<string, string> = authorization(port);
  let query = wait ? `?wait=${wait}` : '';
  if (version) {
    if (adapter.etags) headers['If-None-Match'] = `"${version}"`;
    else query += `${query ? '&' : '?'}since_version=${version}`;
  }
  const patience = wait * 1000 + timing.answer;
  port.arm(patience, `no answer within ${patience / 1000} s`);
  return adapter.request({
    url: port.statusUrl + query,
    headers,
    timeout: patience,
    onFailure: (message) => port.fail(message),
    onAnswer(answer) {
      const { status } = answer;
      if (!(status === 200 ? port.offer(parseJson(answer.body)) : status === 304 && version)) {
        return port.end(judgeAnswer(port, answer));
      }
      port.prove();
      // Answered at once and without news, the request was not held: the server has no place for it, or is stopping.
      const again = most && (clock.now() - asked >= wait * 500 || port.version() > version);
      const { poll, rest } = readPace(answer);
      port.end({ kind: 'answered', delay: Math.max(rest, again ? 0 : poll || timing.poll), rest, held: !!wait });
    },
  });
}
