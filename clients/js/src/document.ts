/** An order's status. All but `pending` and `processing` are final. */
export type Status = 'pending' | 'processing' | 'succeeded' | 'failed' | 'closed' | 'refunded';

/** What payquery says of one order: the same bytes for the same version. */
export interface StatusDocument {
  order_id: string;
  status: Status;
  reason: string | null;
  /** The payer's question is answered; nothing more is asked. */
  final: boolean;
  /** Paid after it had been closed. */
  late: boolean;
  /** Counts the order's changes, from 1. */
  version: number;
  /** Whole minor units of `currency`. */
  amount: number;
  currency: string;
  paid_at: string | null;
  updated_at: string;
}

/**
 * The document, if it is one of this order. A captive portal's page, a cache's mistake and another order's document
 * are none.
 */
export function readDocument(value: unknown, orderId: string): StatusDocument | undefined {
  const found = Object(value) as StatusDocument;
  if (
    typeof found.version === 'number' &&
    typeof found.status === 'string' &&
    typeof found.final === 'boolean' &&
    String(found.order_id).toLowerCase() === orderId.toLowerCase()
  ) {
    return found;
  }
  return undefined;
}

/** JSON text as a value; mini-programs may have parsed it already. Undefined if it is no JSON. */
export function parseJson(body: unknown): unknown {
  if (typeof body !== 'string') return body;
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
