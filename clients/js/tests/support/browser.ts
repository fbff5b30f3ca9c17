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
        [
          'text/html',
          `<!doctype html><title>Shop</title>${IMPORTS}<script type="module" src="/watching.mjs"></script>`,
        ],
      ],
      ['/elsewhere', ['text/html', '<!doctype html><title>Elsewhere</title>']],
    ]);
    pages.set('/watching.mjs', ['text/javascript', await bundle('environments/watching_page', ['payquery-client'])]);
    for (const framework of ['react', 'vue']) {
      pages.set(`/${framework}.mjs`, ['text/javascript', await bundle(`${framework}_app`)]);
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

async function bundle(name: string, external: string[] = []): Promise<string> {
  const entry = join('tests', 'support', `${name}.ts`);
  const options = { bundle: true, write: false, format: 'esm', define: PRODUCTION } as const;
  const { outputFiles } = await build({ entryPoints: [entry], ...options, external });
  return outputFiles[0]?.text || '';
}

const IMPORTS = '<script type="importmap">{"imports":{"payquery-client":"/payquery.mjs"}}</script>';

const PRODUCTION = {
  'process.env.NODE_ENV': '"production"',
  __VUE_OPTIONS_API__: 'true',
  __VUE_PROD_DEVTOOLS__: 'false',
  __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false',
};

/** A tab of the payer's browser on one of the shop's pages. */
export async function visit(t: TestContext, context: BrowserContext, url: string): Promise<Page> {
  const page = await context.newPage();
  t.after(() => page.close());
  await page.goto(url);
  return page;
}
