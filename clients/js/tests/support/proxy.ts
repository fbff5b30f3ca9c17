import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { Repeater, splitEvents, splitFrames } from './repeater';

/** What a bad proxy does with one request. */
export type Treatment =
  | 'pass'
  /** Keeps the body back until it is complete: a stream is muted. Its head may be sent on. */
  | 'buffer'
  | 'buffer body'
  /** Takes the request and never answers. */
  | 'drop'
  /** Hangs up at once. */
  | 'reset'
  | { cutAfter: number }
  /** Hangs up a moment after a stream has brought something. */
  | 'cut stream'
  /** Hangs up in the middle of the body. */
  | 'truncate'
  | { delay: number }
  | { answer: number; headers?: Record<string, string>; body?: string }
  /** Answers as if it were the service. */
  | { replay: string }
  /** Brings everything on a stream twice, and after it all that it brought before. */
  | 'repeat';

export interface Seen {
  /** Path and query. */
  url: string;
  headers: IncomingMessage['headers'];
  kind: 'websocket' | 'sse' | 'longpoll' | 'polling';
  /** Milliseconds. */
  at: number;
  over: boolean;
  /** Of the answer that was sent on; 0 if there was none. */
  status: number;
  /** All that was sent on; of a socket the handshake and the frames too. */
  body: string;
}

/** A stream on which something has come. */
export const isAlive = ({ kind, body }: Seen) => (kind === 'sse' && !!body) || body.includes('auth_ack');

/** In milliseconds. */
const MOMENT = 300;
const ANY_ORIGIN = { 'access-control-allow-origin': '*' };

/** A proxy before the service that can be told to behave badly. It notes what it sees. */
export class HostileProxy {
  readonly seen: Seen[] = [];
  /** Most requests that were open at one time. */
  mostOpen = 0;
  treat: (seen: Seen, index: number) => Treatment | Promise<Treatment> = () => 'pass';
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    /** The port that it passes requests on to. */
    public target: number,
  ) {
    server.on('request', (asked, answer) => this.onRequest(asked, answer));
    server.on('upgrade', (asked, socket, head) => this.onUpgrade(asked, socket as Socket, head));
    server.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => this.sockets.delete(socket));
    });
  }

  /** Closed when the test is over. */
  static async start(t: TestContext, target: number): Promise<HostileProxy> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const proxy = new HostileProxy(server, target);
    t.after(() => proxy.close());
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as { port: number }).port}`;
  }

  open(): Seen[] {
    return this.seen.filter((one) => !one.over);
  }

  count(kind: Seen['kind']): number {
    return this.seen.filter((one) => one.kind === kind).length;
  }

  /** Cuts every connection, as a restarted proxy does. */
  cutAll(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  close(): void {
    this.server.close();
    this.cutAll();
  }

  private note(asked: IncomingMessage, upgrade: boolean): Seen {
    const url = asked.url || '';
    const stream = String(asked.headers.accept).includes('event-stream');
    const seen: Seen = {
      url,
      headers: asked.headers,
      kind: upgrade ? 'websocket' : stream ? 'sse' : url.includes('wait=') ? 'longpoll' : 'polling',
      at: Date.now(),
      over: false,
      status: 0,
      body: '',
    };
    this.seen.push(seen);
    this.mostOpen = Math.max(this.mostOpen, this.open().length);
    return seen;
  }

  private async onRequest(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    if (asked.method === 'OPTIONS') return this.forward(asked, answer, 'pass');
    const seen = this.note(asked, false);
    answer.on('close', () => {
      seen.over = true;
    });
    const treatment = await this.treat(seen, this.seen.length - 1);
    if (treatment === 'drop') return;
    if (treatment === 'reset') return void asked.socket.destroy();
    if (typeof treatment === 'object' && 'answer' in treatment) {
      seen.status = treatment.answer;
      answer.writeHead(treatment.answer, { ...ANY_ORIGIN, 'access-control-expose-headers': '*', ...treatment.headers });
      answer.end(treatment.body);
    } else if (typeof treatment === 'object' && 'replay' in treatment) {
      seen.status = 200;
      answer.writeHead(200, { 'content-type': 'application/json', ...ANY_ORIGIN });
      answer.end(treatment.replay);
    } else if (typeof treatment === 'object' && 'delay' in treatment) {
      setTimeout(() => this.forward(asked, answer, 'pass', seen), treatment.delay).unref();
    } else {
      if (typeof treatment === 'object' && 'cutAfter' in treatment)
        setTimeout(() => asked.socket.destroy(), treatment.cutAfter);
      this.forward(asked, answer, treatment, seen);
    }
  }

  private forward(asked: IncomingMessage, answer: ServerResponse, treatment: Treatment, seen?: Seen): void {
    const { method, url: path, headers } = asked;
    const onward = request({ host: '127.0.0.1', port: this.target, method, path, headers, agent: false }, (got) => {
      const pieces: Buffer[] = [];
      const repeat = treatment === 'repeat' && got.headers['content-type']?.includes('event-stream');
      const parts = repeat ? new Repeater(splitEvents) : undefined;
      if (treatment !== 'buffer') answer.writeHead(got.statusCode || 502, got.headers);
      if (treatment === 'buffer body') answer.flushHeaders();
      if (seen) seen.status = got.statusCode || 0;
      got.on('data', (piece: Buffer) => {
        if (treatment === 'truncate') return void answer.write(piece.subarray(0, 9), () => asked.socket.destroy());
        if (treatment === 'buffer' || treatment === 'buffer body') return void pieces.push(piece);
        if (seen) seen.body += piece;
        answer.write(parts ? parts.take(piece) : piece);
        if (treatment === 'cut stream' && seen && isAlive(seen)) setTimeout(() => asked.socket.destroy(), MOMENT);
      });
      got.on('end', () => {
        if (!answer.headersSent) answer.writeHead(got.statusCode || 502, got.headers);
        answer.end(Buffer.concat(pieces));
      });
      got.on('error', () => answer.destroy());
    });
    onward.on('error', () => {
      if (answer.headersSent) answer.destroy();
      else answer.writeHead(502, { 'content-type': 'text/html', ...ANY_ORIGIN }).end('<html>Bad Gateway</html>');
    });
    answer.on('close', () => onward.destroy());
    asked.pipe(onward);
  }

  /** Treatments of an upgrade: 'drop' (it never opens), 'buffer' (it opens and is mute), the others as they are for requests. */
  private async onUpgrade(asked: IncomingMessage, socket: Socket, head: Buffer): Promise<void> {
    const seen = this.note(asked, true);
    socket.on('close', () => {
      seen.over = true;
    });
    socket.on('end', () => socket.destroy());
    const treatment = await this.treat(seen, this.seen.length - 1);
    if (treatment === 'drop') return void socket.resume(); // so that it sees who hangs up
    if (treatment === 'reset') return void socket.destroy();
    if (typeof treatment === 'object' && 'answer' in treatment) {
      return void socket.end(`HTTP/1.1 ${treatment.answer} No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    }
    if (typeof treatment === 'object' && 'cutAfter' in treatment) {
      setTimeout(() => socket.destroy(), treatment.cutAfter);
    }
    const delay = typeof treatment === 'object' && 'delay' in treatment ? treatment.delay : 0;
    socket.resume();
    setTimeout(() => this.join(asked, socket, head, treatment, seen), delay).unref();
  }

  private join(asked: IncomingMessage, socket: Socket, head: Buffer, treatment: Treatment, seen: Seen): void {
    const onward = connect(this.target, '127.0.0.1', () => {
      const lines = asked.rawHeaders.map((text, index) => (index % 2 ? `${text}\r\n` : `${text}: `));
      onward.write(`GET ${asked.url} HTTP/1.1\r\n${lines.join('')}\r\n`);
      onward.write(head);
      socket.pipe(onward);
    });
    let opened = false;
    const parts = treatment === 'repeat' ? new Repeater(splitFrames) : undefined;
    onward.on('data', (piece: Buffer) => {
      if (String(treatment).startsWith('buffer') && opened) return;
      opened = true;
      seen.body += piece;
      socket.write(parts ? parts.take(piece) : piece);
      if (treatment === 'cut stream' && isAlive(seen)) setTimeout(() => socket.destroy(), MOMENT);
    });
    onward.on('error', () => socket.destroy());
    onward.on('close', () => socket.destroy());
    socket.on('close', () => onward.destroy());
  }
}
