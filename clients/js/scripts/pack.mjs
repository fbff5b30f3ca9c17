// Packs the package, looks at what is in it, and uses it as a stranger would: imported, required, type-checked.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const place = mkdtempSync(join(tmpdir(), 'payquery-pack-'));
process.on('exit', () => rmSync(place, { recursive: true, force: true }));
const run = (command, args, cwd = root) =>
  String(execFileSync(command, args, { cwd, stdio: ['ignore', 'pipe', 'inherit'] }));

const MAY_BE_THERE = [
  /^(package\.json|README\.md|README\.zh-CN\.md|LICENSE)$/,
  /^dist\/(index|react|vue)\.(mjs|cjs|d\.ts|d\.mts|d\.cts)$/,
  /^dist\/types\/([a-z]+\/)?[a-z_]+\.d\.ts$/,
  /^miniprogram_dist\/index\.js$/,
];
const printed = JSON.parse(run('npm', ['pack', '--dry-run', '--ignore-scripts', '--json']));
// npm 11 answers a list, npm 12 an object by name.
const [{ files }] = Object.values(printed);
const stray = files.map(({ path }) => path).filter((path) => !MAY_BE_THERE.some((pattern) => pattern.test(path)));
if (stray.length) throw new Error(`these do not belong into the package: ${stray.join(', ')}`);
for (const needed of ['README.md', 'README.zh-CN.md', 'LICENSE', 'dist/index.mjs', 'miniprogram_dist/index.js']) {
  if (!files.some(({ path }) => path === needed)) throw new Error(`the package lacks ${needed}`);
}
const { dependencies, miniprogram, typesVersions } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
if (dependencies) throw new Error('there are run-time dependencies');
if (miniprogram !== 'miniprogram_dist') throw new Error('package.json lacks the field for mini-programs');

run('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', place]);
const installed = join(place, 'node_modules', 'payquery-client');
mkdirSync(installed, { recursive: true });
run('sh', ['-c', `tar -xzf ../../*.tgz --strip-components=1`], installed);
for (const name of ['react', 'vue', '@types', '@vue', 'csstype', 'typescript', 'miniprogram-api-typings']) {
  symlinkSync(join(root, 'node_modules', name), join(place, 'node_modules', name));
}
const USE = `
  const watch: PaymentWatch = watchPayment({ baseUrl: 'x', orderId: 'a', clientSecret: 's', onFinal: ({ status }) => status === 'succeeded' });
  watch.stop();
  const code: WatchErrorCode = new WatchError({ code: 'gone', message: '' }, true).code;
  // @ts-expect-error a status that there is not
  const paid: boolean | undefined = watch.document && watch.document.status === 'paid';
  // @ts-expect-error there may be none
  const version: number = watch.document.version;
  export const told = [code, paid, version];`;
const SOURCE = `import { type PaymentWatch, WatchError, type WatchErrorCode, watchPayment } from 'payquery-client';
import { usePayment } from 'payquery-client/react';
import { usePayment as inVue } from 'payquery-client/vue';${USE}
export const helpers = [usePayment, inVue];\n`;
// One way of importing each, and what bundlers take.
for (const name of ['esm.mts', 'cjs.cts', 'bundled.ts']) writeFileSync(join(place, name), SOURCE);
const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
/** A mini-program: WeChat's types, and nothing of a browser. */
const MINI = `import { miniAdapter, watchPayment, withPayment } from 'payquery-client';
  Page(withPayment({
    data: { note: '' },
    again() { this.payment?.refresh(); },
  }, function (query) {
    return {
      baseUrl: 'https://pay.example.com', orderId: query['id'] || '', clientSecret: query['secret'] || '',
      adapter: miniAdapter(wx),
      onStatus: ({ status }) => this.setData({ note: status }),
      onError: () => this.again(),
    };
  }));
  // @ts-expect-error the options have no such member
  watchPayment({ baseUrl: '', orderId: '', clientSecret: '', onPaid() {} });\n`;
/** A browser's own fetch and Node's are taken, and the state of both helpers is as it is documented. */
const WEB = `import { webAdapter } from 'payquery-client';
  import { usePayment } from 'payquery-client/vue';
  export const adapters = [webAdapter({ fetch, WebSocket }), webAdapter({ fetch: (url, init) => fetch(url, init) })];
  const payment = usePayment(() => undefined);
  export const status: string | undefined = payment.value.document?.status;
  export const acts = () => [payment.value.pause(), payment.value.resume(), payment.value.refresh()];\n`;
writeFileSync(join(place, 'mini.ts'), MINI);
writeFileSync(join(place, 'web.ts'), WEB);
const strict = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--target', 'es2022'];
for (const [files, module, resolution, lib, types = ''] of [
  [['esm.mts', 'cjs.cts'], 'node16', 'node16', 'es2022,dom'],
  [['bundled.ts', 'web.ts'], 'esnext', 'bundler', 'es2022,dom'],
  [['mini.ts'], 'esnext', 'bundler', 'es2018', 'miniprogram-api-typings'],
]) {
  const how = ['--module', module, '--moduleResolution', resolution, '--lib', lib, '--types', types];
  execFileSync(process.execPath, [tsc, ...strict, ...how, ...files], { cwd: place, stdio: 'inherit' });
}
// Older ways of resolving know no "exports"; this TypeScript does not have them any more.
for (const [path] of Object.values(typesVersions['*'])) readFileSync(join(installed, path));

const names = 'WatchError,miniAdapter,watchPayment,webAdapter,withPayment';
const list = '.filter((name) => name !== "default" && name !== "module.exports").sort().join()';
const imported = `import * as it from 'payquery-client'; console.log(Object.keys(it)${list})`;
for (const args of [
  ['--input-type=module', '-e', imported],
  ['-e', `console.log(Object.keys(require('payquery-client'))${list})`],
  ['-e', `console.log(Object.keys(require('./node_modules/payquery-client/miniprogram_dist'))${list})`],
]) {
  const found = run(process.execPath, args, place).trim();
  if (found !== names) throw new Error(`${args.at(-1)}: ${found}`);
}
console.log(`the package has ${files.length} files, and works imported, required and in TypeScript`);
