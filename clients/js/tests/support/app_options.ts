import type { WatchOptions } from 'payquery-client';

/** The page's address says what it watches. */
export function readOptions(): WatchOptions {
  const query = new URLSearchParams(location.search);
  return {
    baseUrl: query.get('base') || '',
    orderId: query.get('id') || '',
    clientSecret: query.get('secret') || '',
    giveUpAfter: Number(query.get('giveUpAfter')),
  };
}
