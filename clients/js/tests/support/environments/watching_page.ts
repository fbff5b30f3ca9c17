import { watchPayment } from 'payquery-client';
import { Watching, type WatchingOptions } from '../watching';

/** What a page of the tests' shop can do. `tell` is the test's ear. */
declare global {
  interface Window {
    tell(line: string): void;
    watchIt(options: WatchingOptions): void;
    watching: Watching;
  }
}

window.watchIt = (options) => {
  const watching = new Watching(options, (line) => window.tell(line));
  window.watching = watching;
  watching.follow(watchPayment(watching.options()));
};
