// The documents' and the examples' programs, run as they stand.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Inbox, PATIENCE_MS } from './payquery.js';

// Beside the packages, so that what is put there finds them.
const PACKAGES = fileURLToPath(new URL('../node_modules/', import.meta.url));

const directories = [];
const running = new Set();
after(async () => {
  await Promise.all([...running].map((program) => program.stop()));
  await Promise.all(directories.map((directory) => rm(directory, { recursive: true })));
});

/// Writes a program into a directory of its own, which goes with the test, and gives the directory.
export async function place(name, text) {
  const directory = await mkdtemp(`${PACKAGES}.program-`);
  directories.push(directory);
  await writeFile(`${directory}/${name}`, text);
  return directory;
}

/// A running program: { next, find, end, stop }. next() gives the next line that it prints, find(isMeant) the next such line, and end()
/// waits for its end: { code, errors }.
export function start([command, ...args], { cwd, env }) {
  const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const [lines, ends] = [new Inbox(), new Inbox()];
  let errors = '';
  createInterface({ input: child.stdout }).on('line', lines.push);
  child.stderr.setEncoding('utf8').on('data', (text) => (errors += text));
  const closed = once(child, 'close');
  closed.then(([code]) => ends.push({ code, errors }));
  const explain = (error) => assert.fail(`${error.message}\n${command} said:\n${errors}`);
  const program = {
    next: () => lines.next().catch(explain),
    find: (isMeant) => lines.find(isMeant).catch(explain),
    end: () => ends.next().catch(explain),
    stop: async () => {
      running.delete(program);
      child.kill();
      await closed;
    },
  };
  running.add(program);
  return program;
}

/// A port that nobody listens on.
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/// Resolves when somebody listens on the port.
export async function listening(port) {
  for (const deadline = Date.now() + PATIENCE_MS; ; ) {
    const socket = connect(port, '127.0.0.1');
    const connected = await new Promise((resolve) => socket.on('connect', () => resolve(true)).on('error', () => resolve(false)));
    socket.destroy();
    if (connected) return;
    assert.ok(Date.now() < deadline, `nobody listens on port ${port}`);
  }
}
