import type { Adapter, Answer, Call, Life, SocketEvents } from './adapter';

/** What is needed of a `Response`, for those whose TypeScript knows no browser. */
export interface WebResponse {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  readonly body?: unknown;
  text(): Promise<string>;
}

export interface WebParts {
  fetch?(url: string, init: object): Promise<WebResponse>;
  /** For Node before 22, which has none: the `ws` package's, for example. */
  WebSocket?: unknown;
}

type SocketClass = new (url: string) => WebSocket;

/** Browsers and Node. Streams are read with `fetch`: `EventSource` can neither set headers nor show heartbeats. */
export function webAdapter(parts: WebParts = {}): Adapter {
  const Socket = (parts.WebSocket || (typeof WebSocket !== 'undefined' && WebSocket)) as SocketClass | false;
  // Not bound: tests and polyfills replace the global one later.
  const send: NonNullable<WebParts['fetch']> = (url, init) => (parts.fetch || fetch)(url, init);
  const page = typeof document !== 'undefined' && typeof window !== 'undefined';
  return {
    etags: true,
    streams: Socket ? ['sse', 'websocket'] : ['sse'],
    ...(page && { origin: location.origin, live: watchPage }),
    request(call) {
      const controller = new AbortController();
      // no-store: the browser must neither answer by itself nor queue requests of one URL behind each other.
      send(call.url, { headers: call.headers, cache: 'no-store', credentials: 'omit', signal: controller.signal })
        .then((response) => read(response, call))
        .then(call.onAnswer, (error) => call.onFailure(String(error)));
      return () => controller.abort();
    },
    ...(Socket && { socket: (url: string, events: SocketEvents) => openSocket(Socket, url, events) }),
  };
}

async function read(response: WebResponse, call: Call): Promise<Answer> {
  const header = (name: string) => response.headers.get(name) || undefined;
  const { status } = response;
  if (call.onChunk && status === 200 && response.body && /event-stream/.test(header('content-type') || '')) {
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return { status, header, body: '' };
      call.onChunk(value);
    }
  }
  return { status, header, body: await response.text() };
}

function openSocket(Socket: SocketClass, url: string, events: SocketEvents) {
  const socket = new Socket(url);
  socket.onopen = () => events.onOpen();
  socket.onmessage = ({ data }) => events.onMessage(String(data));
  socket.onerror = () => events.onClose('the connection failed');
  socket.onclose = ({ code }) => events.onClose(`closed with code ${code}`);
  return {
    send: (text: string) => socket.send(text),
    close: () => {
      // Nothing more is to be heard, but an error without a listener would be thrown by some implementations.
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.onerror = () => {};
      socket.close();
    },
  };
}

function watchPage(life: Life): () => void {
  const hidden = () => document.visibilityState === 'hidden';
  const look = () => (hidden() ? life.hide() : life.show());
  // A page kept for "back" may hold no open request, and comes back with whatever it showed.
  const listened: [EventTarget, string, () => void][] = [
    [document, 'visibilitychange', look],
    [window, 'pagehide', () => life.hide()],
    [window, 'pageshow', look],
    [window, 'online', () => life.wake()],
  ];
  for (const [target, event, listener] of listened) target.addEventListener(event, listener);
  if (hidden()) life.hide();
  return () => {
    for (const [target, event, listener] of listened) target.removeEventListener(event, listener);
  };
}
