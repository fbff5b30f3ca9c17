import type { Adapter, Answer, Call, Life } from 'payquery-client';

/** An environment in which the test answers: for what needs a clock that stands still. */
export class Scripted implements Adapter {
  readonly etags = true;
  readonly streams = [];
  readonly calls: Call[] = [];
  /** Requests that were neither answered nor aborted, and the most that there were of them. */
  open = 0;
  mostOpen = 0;
  life: Life | undefined;

  request(call: Call): () => void {
    let done = false;
    const end = () => {
      if (!done) this.open--;
      done = true;
    };
    this.mostOpen = Math.max(this.mostOpen, ++this.open);
    this.calls.push({
      ...call,
      onAnswer(answer) {
        end();
        call.onAnswer(answer);
      },
      onFailure(message) {
        end();
        call.onFailure(message);
      },
    });
    return end;
  }

  live(life: Life): () => void {
    this.life = life;
    return () => {
      this.life = undefined;
    };
  }

  get last(): Call {
    const call = this.calls[this.calls.length - 1];
    if (!call) throw new Error('nothing was asked');
    return call;
  }
}

export function answer(status: number, body: unknown = '', headers: Record<string, string> = {}): Answer {
  return { status, body: typeof body === 'string' ? body : JSON.stringify(body), header: (name) => headers[name] };
}

export function document(version: number, status = 'pending', more: Record<string, unknown> = {}) {
  return {
    order_id: 'a',
    status,
    reason: null,
    final: !['pending', 'processing'].includes(status),
    late: false,
    version,
    amount: 1000,
    currency: 'CNY',
    paid_at: null,
    updated_at: '2026-11-20T09:58:34.484Z',
    ...more,
  };
}
