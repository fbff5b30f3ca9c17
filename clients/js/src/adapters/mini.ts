import type { Adapter, Call, Life, Socket, SocketEvents } from './adapter';

/** What the network functions of `wx`, `uni`, `my` and `tt` have in common, and where they differ. */
export interface MiniApi {
  request(options: MiniRequest): MiniTask | undefined;
  connectSocket?(options: MiniConnect): MiniSocket | undefined;
  canIUse?(schema: string): boolean;
  onAppShow?(listener: () => void): void;
  offAppShow?(listener: () => void): void;
  onAppHide?(listener: () => void): void;
  offAppHide?(listener: () => void): void;
  onNetworkStatusChange?(listener: (change: { isConnected?: boolean }) => void): void;
  /** WeChat declares that its listener hears something else. */
  offNetworkStatusChange?(listener: () => void): void;
}

export interface MiniAnswer {
  statusCode?: number;
  /** Alipay's name for it. */
  status?: number;
  header?: Record<string, unknown>;
  /** Alipay's name for it. */
  headers?: Record<string, unknown>;
  data?: unknown;
  errMsg?: string;
  /** Alipay's name for it. */
  errorMessage?: string;
}

export interface MiniRequest {
  url: string;
  method: 'GET';
  header: Record<string, string>;
  headers: Record<string, string>;
  dataType: 'text';
  responseType: 'text';
  timeout: number;
  enableChunked: boolean;
  success(answer: MiniAnswer): void;
  fail(answer: MiniAnswer): void;
}

export interface MiniTask {
  abort?(): void;
  onChunkReceived?(listener: (chunk: { data: ArrayBuffer }) => void): void;
}

export interface MiniConnect {
  url: string;
  multiple: true;
  timeout: number;
  success(): void;
  fail(answer: MiniAnswer): void;
}

export interface MiniSocket {
  onOpen(listener: () => void): void;
  onMessage(listener: (message: { data: unknown }) => void): void;
  onClose(listener: () => void): void;
  onError(listener: (answer?: MiniAnswer) => void): void;
  send(options: { data: string }): void;
  close(options: object): void;
}

const said = (answer?: MiniAnswer) => (answer && (answer.errMsg || answer.errorMessage)) || 'the connection failed';

/** Mini-programs: `miniAdapter(wx)`, `miniAdapter(uni)`, `miniAdapter(my)`, `miniAdapter(tt)`. */
export function miniAdapter(api: MiniApi): Adapter {
  const { connectSocket } = api;
  const chunked = api.canIUse?.('request.object.enableChunked');
  return {
    etags: false,
    streams: [...(connectSocket ? (['websocket'] as const) : []), ...(chunked ? (['sse'] as const) : [])],
    request: (call) => send(api, call),
    ...(connectSocket && {
      socket: (url: string, events: SocketEvents) => connect(connectSocket.bind(api), url, events),
    }),
    live: (life) => watchApp(api, life),
  };
}

function send(api: MiniApi, call: Call): () => void {
  const answer = (got: MiniAnswer) => {
    const fields = got.header || got.headers || {};
    const status = got.statusCode || got.status;
    // Alipay calls `fail` for an answer that is not 2xx.
    if (!status || status < 200) return call.onFailure(said(got));
    call.onAnswer({
      status,
      // Each platform and each phone writes header names in its own way.
      header: (name) => {
        const found = Object.keys(fields).find((field) => field.toLowerCase() === name);
        return found && String(fields[found]);
      },
      body: got.data,
    });
  };
  const { url, headers, timeout, onChunk } = call;
  const task: MiniTask =
    api.request({
      url,
      method: 'GET',
      header: headers,
      headers,
      dataType: 'text',
      responseType: 'text',
      timeout,
      enableChunked: !!onChunk,
      success: answer,
      fail: answer,
    }) || {};
  if (onChunk) task.onChunkReceived?.(({ data }) => onChunk(new Uint8Array(data)));
  return () => task.abort?.();
}

function connect(open: NonNullable<MiniApi['connectSocket']>, url: string, events: SocketEvents): Socket {
  let opened = false;
  let closed = false;
  // uni-app returns the task only to those who pass a callback; Alipay only with `multiple`.
  const task = open({
    url,
    multiple: true,
    timeout: 10_000,
    success() {},
    fail: (answer) => events.onClose(said(answer)),
  });
  if (!task) throw new Error('no socket tasks here');
  task.onOpen(() => {
    opened = true;
    // A close before the opening does nothing, so it is made up for here.
    if (closed) task.close({});
    else events.onOpen();
  });
  // Alipay wraps the data once more.
  task.onMessage(({ data }) => events.onMessage(String((data as { data?: unknown }).data || data)));
  task.onClose(() => events.onClose('the connection was closed'));
  task.onError((answer) => events.onClose(said(answer)));
  return {
    send: (data) => task.send({ data }),
    close() {
      closed = true;
      if (opened) task.close({});
    },
  };
}

function watchApp(api: MiniApi, life: Life): () => void {
  const listened: [
    event: 'AppShow' | 'AppHide' | 'NetworkStatusChange',
    (change?: { isConnected?: boolean }) => void,
  ][] = [
    ['AppShow', () => life.show()],
    ['AppHide', () => life.hide()],
    ['NetworkStatusChange', (change) => change?.isConnected && life.wake()],
  ];
  for (const [event, listener] of listened) api[`on${event}`]?.(listener);
  return () => {
    for (const [event, listener] of listened) api[`off${event}`]?.(listener);
  };
}
