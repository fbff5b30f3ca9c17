import { parseJson } from '../document';
import { EventStreamReader } from './event_stream';
import { authorization, judgeAnswer, type Transport } from './transport';

/** One response that goes on: a document for each change, a comment now and then as a heartbeat. */
export const sse: Transport = (port) => {
  const { adapter, timing } = port;
  const version = port.version();
  let spoke = false;
  const reader = new EventStreamReader((data) => {
    if (!port.offer(parseJson(data))) {
      port.end({ kind: 'broken', failure: { code: 'bad_answer', message: 'no document' } });
    }
  });
  port.arm(timing.open, 'the stream is held back');
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
      port.arm(timing.silence, 'the stream is silent');
    },
    onFailure: (message) => port.fail(message),
    onAnswer(answer) {
      if (spoke) return port.end({ kind: 'over', delay: reader.retry });
      // No stream. If it is a document all the same, it is good for once; the ladder takes something else then.
      const body = answer.body || reader.rest();
      if (answer.status === 200 && port.offer(parseJson(body))) return port.fail('no streams here');
      port.end(judgeAnswer(port, answer, body));
    },
  });
};
