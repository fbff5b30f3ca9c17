import Module, { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { JSDOM } from 'jsdom';
import type { PaymentWatch, WatchOptions } from 'payquery-client';
import type { FakeWeChat } from './wx';

export const EXAMPLE = resolve('../../examples/miniprogram');
const ROOT = join(EXAMPLE, 'miniprogram');

interface Component {
  instance: Record<string, (argument?: unknown) => unknown> & { data: Record<string, unknown> };
  dom: HTMLElement;
  attach(parent: Node): void;
  detach(): void;
  querySelector(selector: string): { dispatchEvent(event: string): void } | undefined;
}

interface Simulate {
  load(path: string | object, options?: object): string;
  render(id: string): Component;
}

/** A page of the example in the simulator, opened, shown, hidden and closed as the app would do it. */
export class SimulatedPage {
  isOpen = true;

  private constructor(private readonly component: Component) {}

  static open(name: string, query: Record<string, string> = {}): SimulatedPage {
    const id = simulate.load(join(ROOT, 'pages', name, name), { compiler: 'simulate', rootPath: ROOT });
    const component = simulate.render(id);
    component.attach(document.body);
    const page = new SimulatedPage(component);
    page.call('onLoad', query);
    page.call('onShow');
    return page;
  }

  /** A page of a test's own, that watches with the package as WeChat's npm support has it, and shows what it is given to show. */
  static watching(options: WatchOptions): SimulatedPage {
    const client = createRequire(join(ROOT, 'app.js'))('payquery-client') as typeof import('payquery-client');
    const id = simulate.load({
      template: '<view>{{shown}}</view>',
      data: { shown: '' },
      methods: client.withPayment({}, () => options),
    });
    const component = simulate.render(id);
    component.attach(document.body);
    const page = new SimulatedPage(component);
    page.call('onLoad', {});
    page.call('onShow');
    return page;
  }

  /** Changes the example's config.js. Pages read it anew each time they are opened. */
  static configure(config: Record<string, string>): void {
    Object.assign(createRequire(import.meta.url)(join(ROOT, 'config.js')), config);
  }

  /** What the payer reads. */
  get text(): string {
    return this.component.dom.textContent || '';
  }

  hide(): void {
    this.call('onHide');
  }

  show(): void {
    this.call('onShow');
  }

  set(data: Record<string, unknown>): void {
    this.component.instance.setData?.(data);
  }

  get payment(): PaymentWatch | undefined {
    return this.component.instance.payment as unknown as PaymentWatch | undefined;
  }

  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.call('onUnload');
    this.component.detach();
  }

  tap(selector: string): void {
    const found = this.component.querySelector(selector);
    if (!found) throw new Error(`nothing to tap: ${selector} in ${this.component.dom.innerHTML}`);
    found.dispatchEvent('tap');
  }

  call(hook: string, argument?: unknown): void {
    const { instance } = this.component;
    instance[hook]?.call(instance, argument);
  }
}

let simulate: Simulate;

/** Starts the simulator with that phone below it. Returns where pages navigate to. */
export function startSimulator({ wx }: FakeWeChat, config: Record<string, string>): string[] {
  const visited: string[] = [];
  const { window } = new JSDOM('<!doctype html><body></body>');
  const navigateTo = ({ url }: { url: string }) => visited.push(url);
  Object.assign(globalThis, { window, document: window.document, wx: { ...wx, navigateTo } });
  for (const name of ['Node', 'Event', 'CustomEvent', 'HTMLElement']) {
    Object.assign(globalThis, { [name]: window[name as 'Node'] });
  }
  const require = createRequire(import.meta.url);
  // Where WeChat finds npm packages.
  process.env.NODE_PATH = join(ROOT, 'miniprogram_npm');
  (Module as unknown as { _initPaths(): void })._initPaths();
  SimulatedPage.configure(config);
  simulate = require('miniprogram-simulate') as Simulate;
  // The simulator knows components only. A page is one whose functions are its methods.
  Object.assign(globalThis, {
    Page(definition: Record<string, unknown>) {
      const { data, ...methods } = definition;
      (globalThis as unknown as { Component(options: object): void }).Component({ data, methods });
    },
  });
  return visited;
}
