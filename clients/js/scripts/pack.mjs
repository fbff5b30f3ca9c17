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
const { dependencies, miniprogram } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
if (dependencies) throw new Error('there are run-time dependencies');
if (miniprogram !== 'miniprogram_dist') throw new Error('package.json lacks the field for mini-programs');

run('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', place]);
const installed = join(place, 'node_modules', 'payquery-client');
mkdirSync(installed, { recursive: true });
run('sh', ['-c', `tar -xzf ../../*.tgz --strip-components=1`], installed);
for (const name of ['react', 'vue', '@types', '@vue', 'csstype', 'typescript']) {
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
const strict = [
  '--noEmit',
  '--strict',
  '--exactOptionalPropertyTypes',
  '--target',
  'es2022',
  '--lib',
  'es2022,dom',
  '--types',
  '',
];
for (const [files, module, resolution] of [
  [['esm.mts', 'cjs.cts'], 'node16', 'node16'],
  [['bundled.ts'], 'esnext', 'bundler'],
]) {
  run(process.execPath, [tsc, ...strict, '--module', module, '--moduleResolution', resolution, ...files], place);
}

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
