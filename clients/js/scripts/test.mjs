// Builds the library and the tests, and runs the tests against the real service, over a Postgres of their own.
// PAYQUERY_BIN names the program. Arguments choose test files: `npm test -- browser` runs tests/browser.test.ts.
import { spawnSync } from 'node:child_process';
import { appendFileSync, chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
const run = (command, args, env = {}) =>
  spawnSync(command, args, { stdio: 'inherit', env: { ...process.env, ...env } }).status ?? 1;

for (const script of ['build', 'example']) if (run(process.execPath, [`scripts/${script}.mjs`])) process.exit(1);
rmSync('.tests', { recursive: true, force: true });
const wanted = process.argv.slice(2);
const sources = readdirSync('tests').filter(
  (name) => name.endsWith('.test.ts') && (!wanted.length || wanted.includes(basename(name, '.test.ts'))),
);
await build({
  entryPoints: sources.map((name) => join('tests', name)),
  outdir: '.tests',
  outExtension: { '.js': '.mjs' },
  bundle: true,
  packages: 'external',
  external: ['payquery-client', 'payquery-client/*'], // it is what was built, as it is shipped, and not tsconfig's path
  platform: 'node',
  format: 'esm',
  target: 'node18',
  sourcemap: 'inline',
});

const [major, minor] = process.versions.node.split('.').map(Number);
const tests = [
  '--enable-source-maps',
  '--test',
  // They mostly wait.
  '--test-concurrency=4',
  // A file that does not end has left something running. (Node 18 does not know how to ask.)
  ...(major > 20 || (major === 20 && minor >= 11) ? ['--test-timeout=300000'] : []),
  ...sources.map((name) => join('.tests', name.replace(/\.ts$/, '.mjs'))),
];
if (process.env.DATABASE_URL) process.exit(run(process.execPath, tests));
const place = mkdtempSync(join(tmpdir(), 'payquery-client-'));
chmodSync(place, 0o755); // run as root, Postgres has an account of its own, which must be able to enter
const program = process.env.PAYQUERY_BIN || 'payquery';
const data = join(place, 'data');
const withPostgres = (...args) => run(program, ['with-postgres', '--data-dir', data, '--', process.execPath, ...args]);
// Many services share it, with nine connections each: it is made, and told so before it is used.
let failed = withPostgres('--version');
for (const path of readdirSync(data, { recursive: true })) {
  if (basename(path) === 'postgresql.auto.conf') appendFileSync(join(data, path), 'max_connections = 400\n');
}
failed ||= withPostgres(...tests);
rmSync(place, { recursive: true, force: true });
process.exit(failed);
