import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import jsqr from 'jsqr';
import type { BrowserContext, Page } from 'playwright-core';
import { PNG } from 'pngjs';
import { until } from './waiting';

export const PANELS = ['polling', 'longpoll', 'sse', 'websocket'] as const;

/** Where CI finds the pictures. */
const PICTURES = process.env.SCREENSHOTS || join('.tests', 'screenshots');

/** When a panel first showed a version, in milliseconds since the epoch. */
type Sightings = Record<string, Record<string, number>>;

/** The service's checkout page in a tab. Whatever the browser complains of is kept. */
export class Checkout {
  readonly complaints: string[] = [];

  private constructor(readonly page: Page) {
    listen(page, this.complaints);
  }

  static async open(context: BrowserContext, url: string): Promise<Checkout> {
    const checkout = new Checkout(await context.newPage());
    await checkout.page.goto(`${url}/demo`);
    await checkout.page.evaluate(WATCH);
    return checkout;
  }

  async create(): Promise<void> {
    await this.page.locator('#create button').click();
    await this.shown(1);
  }

  async press(action: string): Promise<void> {
    await this.page.locator(`[data-action="${action}"]`).click();
  }

  /** Waits until all four panels show that version; returns when each did. */
  async shown(version: number): Promise<Record<string, number>> {
    const at = async () => {
      const seen = (await this.page.evaluate('seen')) as Sightings;
      return PANELS.every((name) => seen[name]?.[version]) ? seen : undefined;
    };
    const seen = await until(`all four panels show version ${version}`, at);
    return Object.fromEntries(PANELS.map((name) => [name, seen[name]?.[version] ?? Number.NaN]));
  }

  texts(selector: string): Promise<string[]> {
    return this.page.locator(`.panel ${selector}`).allTextContents();
  }

  async counts(what: 'requests' | 'unchanged' | 'documents'): Promise<Record<string, number>> {
    const texts = await this.texts(`.${what}`);
    return Object.fromEntries(PANELS.map((name, index) => [name, Number(texts[index])]));
  }

  /** Reads the QR code off the screen, as a camera would. */
  async scan(): Promise<string> {
    const { data, width, height } = PNG.sync.read(await this.page.locator('#qr').screenshot());
    const found = jsqr(new Uint8ClampedArray(data), width, height);
    if (!found) throw new Error('there is no QR code to be read');
    return found.data;
  }
}

/** Errors of scripts, of the content security policy, of files that are not there. */
export function listen(page: Page, complaints: string[]): void {
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
}

export async function picture(page: Page, name: string): Promise<void> {
  mkdirSync(PICTURES, { recursive: true });
  await page.screenshot({ path: join(PICTURES, `${name}.png`), fullPage: true });
}

/** The browser's own eyes: when did the page itself change? */
const WATCH = `
  window.seen = {};
  for (const panel of document.querySelectorAll('.panel')) {
    const versions = (seen[panel.dataset.panel] = {});
    new MutationObserver(() => { versions[panel.dataset.version] ??= Date.now(); })
      .observe(panel, { attributes: true, attributeFilter: ['data-version'] });
  }`;
