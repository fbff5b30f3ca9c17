import type { TransportName } from '../transports/transport';

export interface Answer {
  status: number;
  /** A header field by its lower-case name. */
  header(name: string): string | undefined;
  /** Text, or what the environment has made of it. */
  body: unknown;
}

export interface Call {
  url: string;
  headers: Record<string, string>;
  /** Milliseconds; for environments with limits of their own. The transport's watchdog is what counts. */
  timeout: number;
  /** Asks for the body in pieces, as they come. */
  onChunk?: (bytes: Uint8Array) => void;
  /** The answer is complete; with `onChunk` its body may be empty here. */
  onAnswer(answer: Answer): void;
  onFailure(message: string): void;
}

export interface SocketEvents {
  onOpen(): void;
  onMessage(text: string): void;
  /** Closed or failed, whichever comes first. May never come: a watchdog decides. */
  onClose(message: string): void;
}

export interface Socket {
  send(text: string): void;
  close(): void;
}

export interface Life {
  hide(): void;
  show(): void;
  /** The network is back. */
  wake(): void;
}

/** What an environment can do. Everything that differs between them is behind this. */
export interface Adapter {
  /** Whether the HTTP stack leaves 304 and `If-None-Match` alone. Some phones do not. */
  readonly etags: boolean;
  /** The streams that `auto` may try here, the better first. */
  readonly streams: readonly TransportName[];
  /** What a `baseUrl` without a host belongs to. */
  readonly origin?: string;
  /** Sends; returns what aborts. */
  request(call: Call): () => void;
  socket?(url: string, events: SocketEvents): Socket;
  /** Tells when the screen is hidden and shown, and when the network is back; returns what ends that. */
  live?(life: Life): () => void;
}
