import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { until } from './waiting';

const PROGRAM = process.env.PAYQUERY_BIN || 'payquery';

export interface Order {
  id: string;
  client_secret: string;
}

let apiKey = '';
let numbers = 0;

/** The real program over the tests' Postgres, on a port of its own that it keeps over restarts. */
export class Service {
  private child: ChildProcess | undefined;
  private log = '';

  private constructor(
    readonly port: number,
    private readonly settings: Record<string, string>,
  ) {}

  static async start(settings: Record<string, string> = {}): Promise<Service> {
    apiKey ||= createKey();
    const service = new Service(await freePort(), settings);
    await service.up();
    return service;
  }

  /** The merchant's. */
  static apiKey(): string {
    return apiKey;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async up(): Promise<void> {
    const child = spawn(PROGRAM, ['serve', '--addr', `127.0.0.1:${this.port}`], {
      env: { ...process.env, PAYQUERY_POLL_RATE: '0', ...this.settings },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.child = child;
    child.stderr.on('data', (data) => {
      this.log += data;
    });
    await until('payquery is ready', async () => {
      if (child.exitCode !== null) throw new Error(`payquery has ended:\n${this.log}`);
      return fetch(`${this.url}/readyz`).then(
        (response) => response.ok,
        () => false,
      );
    });
  }

  /** SIGTERM drains, SIGKILL does not. */
  async down(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const { child } = this;
    this.child = undefined;
    if (!child || child.exitCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
  }

  async createOrder(): Promise<Order> {
    const out_trade_no = `js-${process.pid}-${Date.now()}-${numbers++}`;
    return (await this.call('POST', '/v1/orders', { out_trade_no, amount: 1000, currency: 'CNY' })) as Order;
  }

  /** What the merchant's backend does when the provider's notice has come. */
  async report(order: Order, status: string, more: Record<string, unknown> = {}): Promise<void> {
    await this.call('PUT', `/v1/orders/${order.id}/status`, { status, ...more });
  }

  async metric(line: string): Promise<number> {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    const found = text.split('\n').find((row) => row.startsWith(`${line} `));
    return found ? Number(found.slice(line.length)) : 0;
  }

  held(): Promise<number> {
    return this.metric('payquery_held_requests');
  }

  private async call(method: string, path: string, body: unknown): Promise<unknown> {
    const response = await fetch(this.url + path, {
      method,
      headers: { Authorization: `Bearer ${apiKey}`, 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }
}

function createKey(): string {
  const printed = execFileSync(PROGRAM, ['key', 'create', '--merchant', `js-${process.pid}-${Date.now()}`, '--json']);
  return (JSON.parse(String(printed)) as { api_key: string }).api_key;
}

/**
 * Below those that the system gives to whoever asks for any: nobody else gets such a port by chance before its service listens, or
 * while it is away. (Browsers refuse to call some below 11,000.)
 */
const FIRST_PORT = 11_000;
const PORTS = 20_992;
/** Test files run side by side, each in a process of its own: each begins elsewhere, and takes some dozens. */
let nextPort = process.pid * 64;

export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + (nextPort++ % PORTS);
    const server = createServer().listen(port, '127.0.0.1');
    try {
      await once(server, 'listening');
    } catch {
      continue; // somebody has it
    }
    server.close();
    await once(server, 'close');
    return port;
  }
}
