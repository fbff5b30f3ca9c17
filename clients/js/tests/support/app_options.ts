import type { WatchOptions } from 'payquery-client';

/** The page's address says what it watches: the order number `index` of those that it names; none, if it names fewer. */
export function readOptions(index = 0): WatchOptions | undefined {
  const query = new URLSearchParams(location.search);
  const orderId = query.getAll('id')[index];
  if (!orderId) return undefined;
  return {
    baseUrl: query.get('base') || '',
    orderId,
    clientSecret: query.getAll('secret')[index] || '',
    giveUpAfter: Number(query.get('giveUpAfter')),
  };
}
