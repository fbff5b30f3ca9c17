import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventStreamReader } from '../src/transports/event_stream';

const TEXT = 'retry: 2000\n\nid: 3\r\ndata: {"reason":"余额不足 🙅 100%"}\r\n\r\n:\n\ndata: a\rdata: b\r\r';
const READ = { retry: 2000, data: ['{"reason":"余额不足 🙅 100%"}', 'a\nb'] };

function read(...pieces: Uint8Array[]): typeof READ {
  const data: string[] = [];
  const reader = new EventStreamReader((one) => data.push(one));
  for (const piece of pieces) reader.push(piece);
  return { retry: reader.retry, data };
}

test('a stream is read alike wherever it is cut, within a character too', () => {
  const bytes = new TextEncoder().encode(TEXT);
  assert.deepEqual(read(bytes), READ);
  for (let cut = 0; cut <= bytes.length; cut++) {
    assert.deepEqual(read(bytes.subarray(0, cut), bytes.subarray(cut)), READ, `cut at ${cut}`);
  }
  assert.deepEqual(read(...Array.from(bytes, (byte) => Uint8Array.of(byte))), READ);
});

test('comments and fields are signs of life, a page of HTML is none', () => {
  const reader = new EventStreamReader(() => {});
  const push = (text: string) => reader.push(new TextEncoder().encode(text));
  for (const text of [':\n', 'retry: 5\n', 'id: 1\n', 'data\n', 'event: x\n']) assert.equal(push(text), true, text);
  for (const text of ['<html>\n', '\n', '{"data": 1}\n', 'data']) assert.equal(push(text), false, text);
});

test('what is no stream can be read whole', () => {
  const reader = new EventStreamReader(() => assert.fail('no line of a stream'));
  reader.push(new TextEncoder().encode('{"code":"order_not_found"}'));
  assert.equal(reader.rest(), '{"code":"order_not_found"}');
});

test('bytes that are no UTF-8, wrong retries and endless lines do no harm', () => {
  const nothing = { retry: 0, data: [] };
  assert.deepEqual(read(Uint8Array.of(0xff, 0xfe, 10, 10)), nothing);
  assert.deepEqual(read(new TextEncoder().encode('retry: soon\n\nretry: -1\n\n')), nothing);
  assert.deepEqual(read(new Uint8Array(1_000_000).fill(120), new TextEncoder().encode('\ndata: y\n\n')), {
    ...nothing,
    data: ['y'],
  });
});
