/** How long anything may take that a test waits for, in milliseconds: generous, since two cores may be busy. */
const PATIENCE = 20_000;

/** Waits until it holds; fails with `what` if it never does. Looks often, so it costs no time of its own. */
export async function until<T>(what: string, look: () => T | Promise<T>, patience = PATIENCE): Promise<NonNullable<T>> {
  const end = Date.now() + patience;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited ${patience} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
