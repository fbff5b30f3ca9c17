/** Takes whole messages off the front of what came; returns them and the rest. */
type Split = (bytes: Buffer) => [whole: Buffer[], rest: Buffer];

/** What a stream brought, again and out of order: each message twice, and then all before it. */
export class Repeater {
  private rest: Buffer = Buffer.alloc(0);
  private readonly documents: Buffer[] = [];

  constructor(private readonly split: Split) {}

  take(piece: Buffer): Buffer {
    const [whole, rest] = this.split(Buffer.concat([this.rest, piece]));
    this.rest = rest;
    const out: Buffer[] = [];
    for (const message of whole) {
      out.push(message);
      if (!message.includes('"version"')) continue; // the rest is not the caller's
      out.push(message, ...this.documents, message);
      this.documents.push(message);
    }
    return Buffer.concat(out);
  }
}

export const splitEvents: Split = (bytes) => {
  const whole: Buffer[] = [];
  for (;;) {
    const end = bytes.indexOf('\n\n');
    if (end < 0) return [whole, bytes];
    whole.push(bytes.subarray(0, end + 2));
    bytes = bytes.subarray(end + 2);
  }
};

/** The answer to the handshake, then frames as a server sends them: not masked, below 64 KB. */
export const splitFrames: Split = (bytes) => {
  const whole: Buffer[] = [];
  for (;;) {
    const length = messageLength(bytes);
    if (!length || bytes.length < length) return [whole, bytes];
    whole.push(bytes.subarray(0, length));
    bytes = bytes.subarray(length);
  }
};

function messageLength(bytes: Buffer): number {
  if (bytes.subarray(0, 5).equals(Buffer.from('HTTP/'))) {
    const end = bytes.indexOf('\r\n\r\n');
    return end < 0 ? 0 : end + 4;
  }
  const length = (bytes[1] || 0) & 127;
  if (bytes.length < 4) return bytes.length < 2 || length === 126 ? 0 : 2 + length;
  return length === 126 ? 4 + bytes.readUInt16BE(2) : 2 + length;
}
