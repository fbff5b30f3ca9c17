// Puts the built library where the example mini-program looks for npm packages, so that WeChat's developer tools open it as
// it is, without "build npm".
import { cpSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const built = fileURLToPath(new URL('../miniprogram_dist', import.meta.url));
const place = '../../../examples/miniprogram/miniprogram/miniprogram_npm/payquery-client';
const example = fileURLToPath(new URL(place, import.meta.url));
rmSync(example, { recursive: true, force: true });
cpSync(built, example, { recursive: true });
