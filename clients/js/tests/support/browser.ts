import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { build } from 'esbuild';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';

const PROGRAMS = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

/** The system's Chromium; CHROMIUM_BIN names another one. */
export function launch(): Promise<Browser> {
  const executablePath = process.env.CHROMIUM_BIN || PROGRAMS.find((path) => existsSync(path));
  if (!executablePath) throw new Error('there is no Chromium; CHROMIUM_BIN may name one');
  return chromium.launch({
    executablePath,
    args: ['--no-sandbox'], // run as root, it has none
    ignoreDefaultArgs: ['--disable-back-forward-cache'],
  });
}

/** A shop's website: pages that import the library as it is shipped. */
export class Shop {
  private constructor(private readonly server: Server) {}

  static async open(): Promise<Shop> {
    const pages = new Map<string, [type: string, text: string]>([
      ['/payquery.mjs', ['text/javascript', readFileSync(join('dist', 'index.mjs'), 'utf8')]],
      [
        '/',
        ['text/html', `<!doctype html><title>Shop</title><div id="app"></div><script type="module">${SCRIPT}</script>`],
      ],
      ['/elsewhere', ['text/html', '<!doctype html><title>Elsewhere</title>']],
    ]);
    for (const framework of ['react', 'vue']) {
      const entry = join('tests', 'support', `${framework}_app.ts`);
      const bundle = await build({
        entryPoints: [entry],
        bundle: true,
        write: false,
        format: 'esm',
        define: PRODUCTION,
      });
      pages.set(`/${framework}.mjs`, ['text/javascript', bundle.outputFiles[0]?.text || '']);
      const html = `<!doctype html><div id="app"></div><script type="module" src="/${framework}.mjs"></script>`;
      pages.set(`/${framework}`, ['text/html', html]);
    }
    const server = createServer((asked, answer) => {
      const [type, text] = pages.get((asked.url || '').split('?')[0] || '') || ['text/html', '<html>Not found</html>'];
      answer.writeHead(200, { 'content-type': `${type}; charset=utf-8` }).end(text);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Shop(server);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as { port: number }).port}`;
  }

  close(): void {
    this.server.close();
    this.server.closeAllConnections();
  }
}

const PRODUCTION = {
  'process.env.NODE_ENV': '"production"',
  __VUE_OPTIONS_API__: 'true',
  __VUE_PROD_DEVTOOLS__: 'false',
  __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false',
};

const SCRIPT = `
  import { watchPayment } from '/payquery.mjs';
  window.told = { versions: [], finals: [], errors: [], transports: [] };
  window.watchIt = (options) => {
    window.payment = watchPayment({
      ...options,
      onStatus: ({ version }) => told.versions.push(version),
      onFinal: ({ status }) => told.finals.push(status),
      onError: ({ code, fatal }) => told.errors.push([code, fatal]),
      onTransport: (name) => told.transports.push(name),
    });
  };`;

export interface Told {
  versions: number[];
  finals: string[];
  errors: [code: string, fatal: boolean][];
  transports: string[];
}

/** A tab of the payer's browser on one of the shop's pages. */
export async function visit(t: TestContext, context: BrowserContext, url: string): Promise<Page> {
  const page = await context.newPage();
  t.after(() => page.close());
  await page.goto(url);
  return page;
}

export const told = (page: Page): Promise<Told> => page.evaluate('told');

export const watchIn = (page: Page, options: object): Promise<unknown> =>
  page.evaluate(`watchIt(${JSON.stringify(options)})`);
