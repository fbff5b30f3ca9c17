// Builds dist (ES module, CommonJS, types) and miniprogram_dist.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
process.chdir(root);

/** Private members get short names, if their names stand nowhere but in `private name` and `this.name`. */
function privateNames() {
  const text = readdirSync('src', { recursive: true })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => readFileSync(join('src', path), 'utf8'))
    .join('\n')
    .replace(/\/\*[\s\S]*?\*\/|\/\/ .*$/gm, ''); // a comment may say the word
  const names = [...text.matchAll(/^ +private (?:readonly )?(\w+)/gm)].map((found) => found[1]);
  const count = (pattern) => [...text.matchAll(new RegExp(pattern, 'g'))].length;
  return names.filter(
    (name) => count(`\\b${name}\\b`) === count(`(?:private|private readonly|\\bthis\\.) ?${name}\\b`),
  );
}

/**
 * Members of what never leaves the library: what a session is lent, how it ends, what the ladder knows. None that is asked
 * for by `in`, since a string keeps its length.
 */
const INNER = [
  'statusUrl socketUrl settings transports troubled prove arm offer onGood onEnd kind held',
  'ladder begin learn level cut falls rests retry tell',
].flatMap((names) => names.split(' '));

const names = [...privateNames(), ...INNER];
const common = {
  bundle: true,
  minify: true,
  legalComments: 'none',
  // A stack trace shows the line it is about: not all of them, then.
  lineLimit: 500,
  // No newer syntax: what an old phone's mini-program runs is not compiled once more.
  target: 'es2018',
  mangleProps: new RegExp(`^(${names.join('|')})$`),
  external: ['payquery-client', 'react', 'vue'],
  logLevel: 'warning',
};

rmSync('dist', { recursive: true, force: true });
rmSync('miniprogram_dist', { recursive: true, force: true });
const helpers = ['src/react.ts', 'src/vue.ts'];
await build({
  ...common,
  entryPoints: ['src/index.ts', ...helpers],
  outdir: 'dist',
  format: 'esm',
  outExtension: { '.js': '.mjs' },
});
await build({ ...common, entryPoints: helpers, outdir: 'dist', format: 'cjs', outExtension: { '.js': '.cjs' } });

// The same text with other exports: the bundler's own CommonJS is 200 bytes longer, and every byte is a phone's.
const module = readFileSync('dist/index.mjs', 'utf8');
const commonjs = module.replace(/export\{([^}]*)\};\s*$/, (_, names) =>
  names
    .split(',')
    .map((name) => name.trim().split(' as '))
    .map(([local, exported = local]) => `exports.${exported}=${local};`)
    .join(''),
);
if (commonjs === module) throw new Error('the exports of dist/index.mjs were not found');
mkdirSync('miniprogram_dist');
writeFileSync('dist/index.cjs', `"use strict";${commonjs}\n`);
writeFileSync('miniprogram_dist/index.js', `"use strict";${commonjs}\n`);

execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '--project', 'tsconfig.types.json'], {
  stdio: 'inherit',
});
// One set of declarations, and for each way of importing a door to it: TypeScript asks for an ending of its own.
for (const entry of ['index', 'react', 'vue']) {
  for (const ending of ['d.ts', 'd.mts', 'd.cts']) {
    writeFileSync(`dist/${entry}.${ending}`, `export * from './types/${entry}.js';\n`);
  }
}
console.log(`short names for ${names.length} inner members`);
