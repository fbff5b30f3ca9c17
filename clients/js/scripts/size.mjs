// What a payer's phone has to load: at most 6 KB (6,144 bytes), gzipped. Two programs that compress are asked, and the worse one counts.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const LIMIT = 6_144;
const HELPER_LIMIT = 800;

let failed = false;
for (const [path, limit] of [
  ['dist/index.mjs', LIMIT],
  ['dist/index.cjs', LIMIT],
  ['miniprogram_dist/index.js', LIMIT],
  ['dist/react.mjs', HELPER_LIMIT],
  ['dist/vue.mjs', HELPER_LIMIT],
]) {
  const text = readFileSync(fileURLToPath(new URL(`../${path}`, import.meta.url)));
  const size = Math.max(gzipSync(text, { level: 9 }).length, execFileSync('gzip', ['-9n'], { input: text }).length);
  console.log(`${path}: ${size} of ${limit} bytes`);
  failed ||= size > limit;
}
if (failed) {
  console.error('too big');
  process.exit(1);
}
