/** Longest line that is kept, in bytes. A document has a few hundred. */
const MAX_LINE = 65_536;

/**
 * Reads `text/event-stream` from pieces that may be cut anywhere, within a character too. Works on bytes, since devices
 * have no TextDecoder: a whole line is whole UTF-8.
 */
export class EventStreamReader {
  /** The pause that the stream wishes before the next connection, in milliseconds. */
  retry = 0;
  private line: number[] = [];
  private data: string[] = [];
  private afterReturn = false;

  /** @param take is given the data of each event */
  constructor(private readonly take: (data: string) => void) {}

  /** Returns whether there was a line of an event stream: another kind of body has none. */
  push(bytes: Uint8Array): boolean {
    let spoke = false;
    for (const byte of bytes) {
      const crlf = byte === 10 && this.afterReturn;
      this.afterReturn = byte === 13;
      if (crlf) continue;
      if (byte === 10 || byte === 13) {
        spoke = this.endLine() || spoke;
      } else if (this.line.length < MAX_LINE) {
        this.line.push(byte);
      }
    }
    return spoke;
  }

  /** What came after the last line's end: the whole of a body that is no event stream. */
  rest(): string {
    return decode(this.line);
  }

  private endLine(): boolean {
    const text = decode(this.line);
    this.line = [];
    const [, field = '', value = ''] = /^([a-z]*)(?:: ?(.*))?$/.exec(text) || [];
    if (field === 'data') this.data.push(value);
    if (field === 'retry' && Number(value) >= 0) this.retry = Number(value);
    if (!text && this.data.length) {
      const data = this.data.join('\n');
      this.data = [];
      this.take(data);
    }
    return text[0] === ':' || /^(data|id|event|retry)$/.test(field);
  }
}

function decode(bytes: number[]): string {
  let escaped = '';
  for (const byte of bytes) {
    escaped += `%${byte.toString(16).padStart(2, '0')}`;
  }
  try {
    return decodeURIComponent(escaped);
  } catch {
    return ''; // no UTF-8, so no line of ours
  }
}
