import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventStreamReader, type StreamLine } from '../src/transports/event_stream';

const TEXT = 'retry: 2000\n\nid: 3\r\ndata: {"reason":"余额不足 🙅 100%"}\r\n\r\n:\n\ndata: a\rdata: b\r\r';
const LINES: StreamLine[] = [{ retry: 2000 }, { data: '{"reason":"余额不足 🙅 100%"}' }, { data: 'a\nb' }];

function read(...pieces: Uint8Array[]): StreamLine[] {
  const lines: StreamLine[] = [];
  const reader = new EventStreamReader((line) => lines.push(line));
  for (const piece of pieces) reader.push(piece);
  return lines;
}

test('a stream is read alike wherever it is cut, within a character too', () => {
  const bytes = new TextEncoder().encode(TEXT);
  assert.deepEqual(read(bytes), LINES);
  for (let cut = 0; cut <= bytes.length; cut++) {
    assert.deepEqual(read(bytes.subarray(0, cut), bytes.subarray(cut)), LINES, `cut at ${cut}`);
  }
  assert.deepEqual(read(...Array.from(bytes, (byte) => Uint8Array.of(byte))), LINES);
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
  assert.deepEqual(read(Uint8Array.of(0xff, 0xfe, 10, 10)), []);
  assert.deepEqual(read(new TextEncoder().encode('retry: soon\n\nretry: -1\n\n')), []);
  assert.deepEqual(read(new Uint8Array(1_000_000).fill(120), new TextEncoder().encode('\ndata: y\n\n')), [
    { data: 'y' },
  ]);
});
