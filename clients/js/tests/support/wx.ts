import { type ClientRequest, request } from 'node:http';
import { request as requestSecurely } from 'node:https';
import type { MiniApi } from 'payquery-client';
import { WebSocket } from 'ws';

type Listener = (value?: never) => void;
type Wx = Required<MiniApi>;
type Connect = Partial<Parameters<Wx['connectSocket']>[0]> & { url: string };
/** What pages pass: less than the library, and in their own ways. */
type Request = Partial<Omit<Parameters<Wx['request']>[0], 'method' | 'dataType'>> & {
  url: string;
  method?: string;
  dataType?: string;
};

/** How long WeChat lets a request go on in the background; shortened, like its sockets' five to ten seconds. */
const BACKGROUND_MS = 100;
/** For how long after it is shown again no socket can be opened. */
const SUSPENDED_MS = 100;

/**
 * WeChat's network functions over real HTTP and sockets, with the manners that hurt: requests and sockets die in the
 * background, a socket's end is not always told, a close before the opening closes nothing.
 */
export class FakeWeChat {
  readonly wx: Wx;
  /** Requests that were sent and not yet answered, failed or aborted. */
  inFlight = 0;
  mostInFlight = 0;
  requests = 0;
  openSockets = 0;
  /** Calls of `request` and `connectSocket`. */
  asked = 0;
  /** A socket that dies says so. */
  tellsClose = true;
  /** Like a phone whose base library has no `enableChunked`. */
  chunked = true;
  /** It is hidden, and what was open in the background has died. */
  asleep = false;
  private hidden = false;
  private suspendedUntil = 0;
  private readonly listeners: Record<string, Set<Listener>> = {};
  private readonly toInterrupt = new Set<() => void>();

  constructor() {
    this.wx = {
      request: (options) => this.request(options),
      connectSocket: (options) => this.connect(options),
      canIUse: (schema) => this.chunked && schema === 'request.object.enableChunked',
      onAppShow: (listener) => this.on('show', listener),
      offAppShow: (listener) => this.off('show', listener),
      onAppHide: (listener) => this.on('hide', listener),
      offAppHide: (listener) => this.off('hide', listener),
      onNetworkStatusChange: (listener) => this.on('network', listener),
      offNetworkStatusChange: (listener) => this.off('network', listener),
    };
  }

  listening(): number {
    return Object.values(this.listeners).reduce((sum, set) => sum + set.size, 0);
  }

  hide(): void {
    this.hidden = true;
    this.emit('hide');
    setTimeout(() => {
      if (!this.hidden) return;
      for (const interrupt of [...this.toInterrupt]) interrupt();
      this.asleep = true;
    }, BACKGROUND_MS);
  }

  show(): void {
    this.hidden = this.asleep = false;
    this.suspendedUntil = Date.now() + SUSPENDED_MS;
    this.emit('show');
  }

  networkIsBack(): void {
    this.emit('network', { isConnected: true });
  }

  private on(event: string, listener: unknown): void {
    this.listeners[event] ||= new Set();
    this.listeners[event].add(listener as Listener);
  }

  private off(event: string, listener: unknown): void {
    this.listeners[event]?.delete(listener as Listener);
  }

  private emit(event: string, value?: unknown): void {
    for (const listener of this.listeners[event] || []) listener(value as never);
  }

  private request(options: Request) {
    let over = false;
    let sent: ClientRequest | undefined;
    const chunkListeners: ((chunk: { data: ArrayBuffer }) => void)[] = [];
    this.requests++;
    this.asked++;
    this.mostInFlight = Math.max(this.mostInFlight, ++this.inFlight);
    const end = (tell: () => void) => {
      if (over) return;
      over = true;
      this.inFlight--;
      this.toInterrupt.delete(interrupt);
      sent?.destroy();
      tell();
    };
    const fail = (errMsg: string) => end(() => options.fail?.({ errMsg: `request:fail ${errMsg}` }));
    const interrupt = () => fail('interrupted');
    this.toInterrupt.add(interrupt);
    const { url, header, method = 'GET', timeout = 60_000 } = options;
    const headers = { ...header, 'content-type': 'application/json' };
    const open = url.startsWith('https:') ? requestSecurely : request;
    sent = open(url, { method, headers, agent: false }, (got) => {
      const pieces: Buffer[] = [];
      got.on('data', (piece: Buffer) => {
        if (!options.enableChunked) return void pieces.push(piece);
        // Cut in two wherever it happens to be: WeChat splits characters.
        for (const part of [piece.subarray(0, piece.length >> 1), piece.subarray(piece.length >> 1)]) {
          const data = new Uint8Array(part).buffer;
          for (const listener of chunkListeners) if (!over) listener({ data });
        }
      });
      const header = Object.fromEntries(
        Object.entries(got.headers).map(([name, value]) => [title(name), String(value)]),
      );
      got.on('end', () =>
        end(() => {
          const data = readBody(String(Buffer.concat(pieces)), options.dataType);
          options.success?.({ statusCode: got.statusCode || 0, header, data });
        }),
      );
      got.on('error', (error) => fail(error.message));
    });
    sent.on('error', (error) => fail(error.message));
    sent.setTimeout(timeout, () => fail('timeout'));
    sent.end();
    return {
      abort: () => fail('abort'),
      onChunkReceived: (listener: (chunk: { data: ArrayBuffer }) => void) => void chunkListeners.push(listener),
    };
  }

  private connect(options: Connect) {
    const events: Record<string, Listener[]> = { open: [], message: [], close: [], error: [] };
    const emit = (event: string, value?: unknown) => {
      for (const listener of events[event] || []) listener(value as never);
    };
    this.asked++;
    const suspended = this.hidden || Date.now() < this.suspendedUntil;
    let socket: WebSocket | undefined;
    let opened = false;
    if (suspended) {
      setTimeout(() => options.fail?.({ errMsg: 'connectSocket:fail interrupted in suspend state' }), 0);
    } else {
      socket = new WebSocket(options.url, { handshakeTimeout: options.timeout });
      const interrupt = () => socket?.terminate();
      this.toInterrupt.add(interrupt);
      socket.on('open', () => {
        opened = true;
        this.openSockets++;
        emit('open');
      });
      socket.on('message', (data) => emit('message', { data: String(data) }));
      socket.on('error', (error) => emit('error', { errMsg: error.message }));
      socket.on('close', () => {
        if (opened) this.openSockets--;
        this.toInterrupt.delete(interrupt);
        if (this.tellsClose) emit('close', {});
      });
    }
    return {
      onOpen: (listener: Listener) => void events.open?.push(listener),
      onMessage: (listener: unknown) => void events.message?.push(listener as Listener),
      onClose: (listener: Listener) => void events.close?.push(listener),
      onError: (listener: unknown) => void events.error?.push(listener as Listener),
      send: ({ data }: { data: string }) => socket?.send(data),
      close: () => {
        if (opened) socket?.close(); // before the opening it closes nothing
      },
    };
  }
}

const title = (name: string) => name.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase());

/** Unless another type is asked for, what looks like JSON is read as JSON. */
function readBody(text: string, dataType = 'json'): unknown {
  if (dataType !== 'json') return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
