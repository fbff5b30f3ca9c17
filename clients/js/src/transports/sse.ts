import { parseJson } from '../document';
import { EventStreamReader } from './event_stream';
import { authorization, judgeAnswer, type Transport } from './transport';

/** One response that goes on: a document for each change, a comment now and then as a heartbeat. */
export const sse: Transport = (port) => {
  const { adapter, timing } = port;
  const version = port.version();
  let spoke = false;
  let retry = 0;
  const reader = new EventStreamReader((line) => {
    if (line.retry !== undefined) retry = line.retry;
    if (line.data !== undefined && !port.offer(parseJson(line.data))) {
      port.end({ kind: 'broken', failure: { code: 'bad_answer', message: 'the stream brings something else' } });
    }
  });
  port.arm(timing.open, 'the stream is held back on its way');
  return adapter.request({
    url: port.statusUrl,
    headers: {
      ...authorization(port),
      Accept: 'text/event-stream',
      ...(version ? { 'Last-Event-ID': String(version) } : {}),
    },
    timeout: 60_000, // the most that WeChat allows
    onChunk(bytes) {
      if (!reader.push(bytes)) return;
      spoke = true;
      port.prove();
      port.arm(timing.silence, 'the stream has gone silent');
    },
    onFailure: (message) => port.fail(message),
    onAnswer(answer) {
      if (spoke) return port.end({ kind: 'over', delay: retry });
      // No stream. If it is a document all the same, it is good for once; the ladder takes something else then.
      const body = answer.body || reader.rest();
      if (answer.status === 200 && port.offer(parseJson(body))) return port.fail('there are no streams here');
      port.end(judgeAnswer(port, answer, body));
    },
  });
};
