import type { TestContext } from 'node:test';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { launch, Shop, visit } from '../browser';
import type { WatchingOptions } from '../watching';
import { type Ask, type Environment, Payer } from './environment';

/** Pages of a shop's website in headless Chromium, which ask another origin. One browser for all of them. */
export class Chromium implements Environment {
  readonly name = 'Chromium';
  readonly streams = ['sse', 'websocket'] as const;
  readonly hasPages = true;
  browser!: Browser;
  context!: BrowserContext;
  shop!: Shop;

  async open(): Promise<void> {
    [this.browser, this.shop] = await Promise.all([launch(), Shop.open()]);
    this.context = await this.browser.newContext();
  }

  async close(): Promise<void> {
    await this.browser?.close();
    this.shop?.close();
  }

  async watch(t: TestContext, options: WatchingOptions, context = this.context): Promise<BrowserPayer> {
    const payer = await this.visit(t, context);
    await payer.watch(options);
    return payer;
  }

  /** A page that does not watch yet. */
  async visit(t: TestContext, context = this.context): Promise<BrowserPayer> {
    const payer = new BrowserPayer(await visit(t, context, 'about:blank'), this.shop.url);
    await payer.open();
    return payer;
  }
}

export class BrowserPayer extends Payer {
  constructor(
    readonly page: Page,
    private readonly shop: string,
  ) {
    super();
  }

  async open(): Promise<void> {
    await this.page.exposeFunction('tell', (line: string) => this.lines.push(line));
    await this.page.goto(this.shop);
  }

  async watch(options: WatchingOptions): Promise<void> {
    await this.page.evaluate(`watchIt(${JSON.stringify(options)})`);
  }

  readonly ask: Ask = (name, ...values) => this.page.evaluate(`watching.${name}(...${JSON.stringify(values)})`);

  hide(): Promise<void> {
    return this.look('hidden');
  }

  show(): Promise<void> {
    return this.look('visible');
  }

  async leave(): Promise<void> {
    await this.page.goto(`${this.shop}/elsewhere`);
    this.isGone = true;
  }

  holds(): number {
    return 0; // the proxy sees whatever is open
  }

  private look(state: string): Promise<void> {
    return this.page.evaluate(`
      Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => '${state}' });
      document.dispatchEvent(new Event('visibilitychange'));`);
  }
}
