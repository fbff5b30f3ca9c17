import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { TransportName } from 'payquery-client';
import type { Environment, Payer } from '../support/environments/environment';
import { HostileProxy, type Seen } from '../support/proxy';
import { QUICK } from '../support/recorder';
import { type Order, Service } from '../support/service';
import { until } from '../support/waiting';
import type { WatchingOptions } from '../support/watching';

export const TRANSPORTS: readonly TransportName[] = ['longpoll', 'polling', 'sse', 'websocket'];

/** What happens to a payer, wherever the library runs, and what the page must hear of it. */
export interface Scenario {
  /** A sentence. */
  readonly name: string;
  readonly transport: NonNullable<WatchingOptions['transport']> | ((where: Environment) => TransportName[]);
  readonly options?: Partial<WatchingOptions>;
  /** Settings of the service. All scenarios that have the same share one. */
  readonly settings?: Record<string, string>;
  /** It has a service for itself, since it ends it. */
  readonly ownService?: true;
  /** How the proxy misbehaves from the beginning. */
  readonly treat?: HostileProxy['treat'];
  /** Before the page is opened: whoever it names instead of the proxy and the order. */
  readonly before?: (stage: Stage) => unknown;
  /** What happens when the page is open. Mostly: the payment comes through. */
  readonly play?: (stage: Stage) => Promise<void>;
  /** What the page hears, all of it; the transports apart. */
  readonly hears?: readonly string[];
  /** Where it can happen; everywhere, if it does not say. */
  readonly where?: (where: Environment) => boolean;
  /** The transports in turn; if there is but one, it is that one. */
  readonly takes?: readonly TransportName[] | ((where: Environment) => readonly TransportName[]);
}

/** What a payer hears of a payment without trouble. */
export const WELL = ['v1 pending', 'v2 succeeded', 'final succeeded'];
/** And with some, before or after the first answer, that passes. */
export const TROUBLED_FIRST = (code: string) => [`error ${code}`, 'recovered', ...WELL];
export const TROUBLED_LATER = (code: string) => ['v1 pending', `error ${code}`, 'recovered', ...WELL.slice(1)];

export interface Stage {
  readonly t: TestContext;
  readonly where: Environment;
  readonly service: Service;
  /** Another replica over the same database. */
  readonly replica: Service;
  readonly proxy: HostileProxy;
  /** The order that is watched. */
  order: Order;
  baseUrl: string;
  payer: Payer;
}

/** Services that are shared, one for each kind of settings. */
export class Services {
  private readonly started = new Map<string, Promise<Service>>();

  get(settings: Record<string, string> = { PAYQUERY_HEARTBEAT: '1' }): Promise<Service> {
    const key = JSON.stringify(settings);
    const service = this.started.get(key) || Service.start(settings);
    this.started.set(key, service);
    return service;
  }

  async down(): Promise<void> {
    await Promise.all(Array.from(this.started.values(), async (service) => (await service).down()));
  }
}

export async function perform(
  scenario: Scenario,
  where: Environment,
  services: Services,
  t: TestContext,
): Promise<void> {
  const own = scenario.ownService && (await Service.start(scenario.settings));
  if (own) t.after(() => own.down());
  const replica = await services.get();
  const service = own || (await services.get(scenario.settings));
  const proxy = await HostileProxy.start(t, service.port);
  if (scenario.treat) proxy.treat = scenario.treat;
  const order = await service.createOrder();
  const stage = { t, where, service, replica, proxy, order, baseUrl: proxy.url } as Stage;
  await scenario.before?.(stage);
  const { transport } = scenario;
  stage.payer = await where.watch(t, {
    baseUrl: stage.baseUrl,
    orderId: stage.order.id,
    clientSecret: stage.order.client_secret,
    transport: typeof transport === 'function' ? transport(where) : transport,
    ...scenario.options,
    timing: { ...QUICK, ...scenario.options?.timing },
  });
  await (scenario.play || pay)(stage);
  await judge(scenario, stage);
}

/** The payment comes through once the page shows that it waits. */
export async function pay({ payer, service, order }: Stage): Promise<void> {
  await payer.hears('v1 pending');
  await service.report(order, 'succeeded');
  await payer.hears('final succeeded');
}

/** What is promised of every watch, and what this one was to hear. */
async function judge({ hears, takes, transport }: Scenario, stage: Stage): Promise<void> {
  const { payer, proxy, where } = stage;
  const ended = () => payer.heard().find((line) => /^(final|fatal|unknown)/.test(line));
  if (ended()) {
    await until('the promise is settled', () => payer.promises().length);
    await assertRest(stage);
    const [promised] = payer.promises();
    assert.equal(ended()?.replace(/^\w+ /, ''), promised);
  }
  const heard = payer.heard();
  const story = heard.join(', ');
  if (hears) assert.deepEqual(heard, hears);
  const versions = payer.versions();
  assert.deepEqual(versions, [...new Set(versions)].sort(), `each version once, in order: ${story}`);
  for (const once of ['final', 'fatal'].filter((word) => story.includes(word))) {
    assert.ok(heard.at(-1)?.startsWith(once), `nothing is told after the end: ${story}`);
    assert.equal(heard.filter((line) => line.startsWith(once)).length, 1, story);
  }
  const troubles = heard.map((line) => /^(error|unknown|recovered)/.exec(line)?.[0]).filter(Boolean);
  assert.doesNotMatch(
    troubles.join(' '),
    /^recovered|recovered recovered|error error/,
    `an error is told once until things are well again: ${story}`,
  );
  const path = typeof takes === 'function' ? takes(where) : takes;
  const only = typeof transport === 'string' && transport !== 'auto' ? [transport] : undefined;
  if (path || (only && payer.transports().length)) assert.deepEqual(payer.transports(), path || only);
  assert.ok(
    proxy.seen.every(({ url }) => !url.includes('pqs_')),
    'no secret stands in an address',
  );
}

/** Waits for the next request, the one number `count`. Until it is there, a clock that stands still goes on by itself. */
export async function nextRequest({ payer, proxy }: Stage, count: number): Promise<Seen> {
  return until(`request ${count} is there`, async () => {
    const [ms = Infinity] = await payer.ask('pending');
    const isPause = ms < WATCHDOG;
    if (proxy.seen.length < count && isPause) await payer.ask('advance', ms);
    return proxy.seen[count - 1];
  });
}

/** The shortest time that any request or stream is given to answer; pauses are shorter here. In milliseconds. */
export const WATCHDOG = 5_000;

/** Neither a timer runs nor a connection is open: nothing will be asked, however long one waits. */
export async function assertRest({ payer, proxy }: Stage): Promise<void> {
  if (!payer.isGone) assert.equal(await payer.ask('timers'), 0, 'no timer runs');
  await until('all connections are closed', () => !proxy.open().length && !payer.holds());
}
